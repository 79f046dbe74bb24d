"""Source files by the names of their modules, each read once in a process."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from autolrs_cli.runner.code_version.source import Need, Source, read_source


class Sources:
    """The source files of our packages, and of the folders in which a person's modules lie.

    Args:
        ours: package -> its folder.
        theirs: a person's top-level packages -> the folder; top-level modules -> the file.
        folders: searched for all other top-level modules.
        read: what was read before, by path: a process goes on executing what it read first.
        found: where modules of our packages were found before.
    """

    def __init__(
        self,
        ours: Mapping[str, Path],
        theirs: Mapping[str, Path] | None = None,
        folders: Iterable[Path] = (),
        read: dict[Path, Source] | None = None,
        found: dict[str, Path | None] | None = None,
    ) -> None:
        self._ours = ours
        self._packages = {**(theirs or {}), **ours}
        self._folders = tuple(dict.fromkeys(folders))
        self._read: dict[Path, Source] = {} if read is None else read
        self._our_paths: dict[str, Path | None] = {} if found is None else found
        self._their_paths: dict[str, Path | None] = {}

    def with_modules(self, tops: Iterable[str]) -> Sources:
        """Return these sources, a person's top-level modules, and what lies beside them.

        Beside a module that is installed lie other people's: of those, its own package alone counts.
        """
        places = {top: place for top in tops if (place := _place(top)) is not None}
        if not places:
            return self
        installed = {top: place for top, place in places.items() if _is_installed(place)}
        beside = [place.parent for top, place in places.items() if top not in installed]
        return Sources(self._ours, installed, beside, self._read, self._our_paths)

    def path(self, module: str) -> Path | None:
        """Return the file of a module or of a package's `__init__`; None: it is not here."""
        paths = self._our_paths if module.partition(".")[0] in self._ours else self._their_paths
        if module not in paths:
            paths[module] = self._find(module)
        return paths[module]

    def source(self, module: str) -> Source | None:
        """Return what is in the file of a module; None: it is not here."""
        path = self.path(module)
        if path is None:
            return None
        if path not in self._read:
            # Of a person's packages, all that an `__init__` imports counts: it may be imported for what it does.
            self._read[path] = read_source(path, module, splits=module.partition(".")[0] in self._ours)
        return self._read[path]

    def need(self, target: str) -> Need:
        """Return the module that a dotted name lies in, and the name that it takes from there."""
        module, name = target, None
        while "." in module and self.path(module) is None:
            module, _, name = module.rpartition(".")
        return module, name

    def _find(self, module: str) -> Path | None:
        top, *inner = module.split(".")
        if not top:  # of a relative import that leads out of all packages
            return None
        places = [self._packages[top]] if top in self._packages else [each / top for each in self._folders]
        for place in places:
            base = place.joinpath(*inner)
            for path in (base / "__init__.py", base.with_name(f"{base.name}.py"), base):
                if path.suffix == ".py" and path.is_file():
                    return path
        return None


def _place(top: str) -> Path | None:
    """Return the folder of a top-level package, or the file of a module."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # the latter: `__main__`, which is not imported
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.has_location else None


def _is_installed(place: Path) -> bool:
    folders = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(place.is_relative_to(folder) for folder in folders)
