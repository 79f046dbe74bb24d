"""Settings that name files: absolute from a run's start on, and free to change when its data have moved.

Which settings these are is said where they are declared, by `FileSetting` in the type of a constructor's parameter.
"""

from __future__ import annotations

import glob
import inspect
import typing
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_object

from autolrs_cli.contracts import FileSetting


def make_absolute(config: Mapping[str, Any]) -> None:
    """Make every path in `config`, resolved plain containers, independent of the current folder; in place."""
    for _, node, name, kind in _settings(_used(config), ""):
        node[name] = _absolute(node[name], kind)


def path_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of the settings that name files; those of one node that stands twice are there twice."""
    return [key for key, *_ in _settings(_used(config), "")]


def set_path(config: Mapping[str, Any], key: str, value: Any) -> None:
    """Give the path setting `key` another value, made absolute, wherever the configuration repeats it; in place."""
    found = list(_settings(_used(config), ""))
    (old,) = [node[name] for at, node, name, _ in found if at == key]
    for _, node, name, kind in found:
        if name == key.rpartition(".")[2] and node[name] == old:
            node[name] = _absolute(value, kind)


def _used(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out data and model if the recipe, a person's own, does not hold them: importing theirs takes seconds."""
    recipe = config.get("recipe")
    if not isinstance(recipe, Mapping):
        return config
    held = list(recipe.values())
    return {key: part for key, part in config.items() if key not in ("data", "model") or part in held}


def _settings(node: Any, prefix: str) -> Iterator[tuple[str, MutableMapping[str, Any], str, FileSetting]]:
    """Yield key, node, name and kind of each setting that names files."""
    if isinstance(node, list):
        for i, part in enumerate(node):
            yield from _settings(part, f"{prefix}[{i}].")
    if not isinstance(node, MutableMapping):
        return
    marked = _marked(node.get("_target_"))
    for name, value in node.items():
        if name in marked:
            yield f"{prefix}{name}", node, name, marked[name]
        else:
            yield from _settings(value, f"{prefix}{name}.")


def _marked(target: object) -> dict[str, FileSetting]:
    """Return the parameters of what `target` names that name files; none, if it says nothing of that."""
    if not isinstance(target, str):
        return {}
    try:
        found = get_object(target)
        own = inspect.isclass(found) and not is_dataclass(found)
        hints = typing.get_type_hints(found.__init__ if own else found, include_extras=True)
    except Exception:  # what is wrong with it is said when it is built
        return {}
    metadata = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: kind for name, marks in metadata.items() for kind in marks if isinstance(kind, FileSetting)}


def _absolute(value: Any, kind: FileSetting) -> Any:
    if isinstance(value, list | tuple):
        return [_absolute(each, kind) for each in value]
    if not isinstance(value, str) or not value or value in kind.words:
        return value
    try:
        path = Path(value).expanduser()
        if kind.or_name and not (value.startswith((".", "~")) or path.exists()):
            return value
        if path.is_absolute() or not kind.pattern or path.exists() or not glob.has_magic(value):
            return str(path.absolute())
        return str(Path(glob.escape(str(Path.cwd()))) / path)
    except (OSError, RuntimeError, ValueError):  # ~somebody; no current folder
        return value
