"""From what a run starts with to all modules that it can have executed, along import statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autolrs_cli.runner.code_version.source import Need, short_hash
from autolrs_cli.runner.code_version.sources import Sources


def follow(
    starts: Iterable[Need], sources: Sources, counts: Callable[[str, str | None], bool]
) -> dict[str, str]:
    """Return module -> hash of its statements, for all modules that are reached and have any.

    Who imports a name that a package hands on needs the module that defines it, and not the rest of the package. Where
    the name leads is then an entry of its own, `package.name`.

    Args:
        starts: where to begin.
        sources: modules that are not here are not followed: libraries.
        counts: of a module and who imports it (None: the run itself), whether it counts.
    """
    found: dict[str, str] = {}
    seen: set[Need] = set()
    waiting: list[tuple[Need, str | None]] = [(need, None) for need in starts]
    while waiting:
        (module, name), importer = waiting.pop()
        if (module, name) in seen or not counts(module, importer):
            continue
        seen.add((module, name))
        source = sources.source(module)
        handed_on = {} if source is None else source.handed_on
        if name and name not in handed_on:
            waiting.append(((f"{module}.{name}", None), importer))  # a module, if there is one of that name
        if source is None:
            continue
        if source.digest is not None:
            found[module] = source.digest
        if parent := module.rpartition(".")[0]:
            waiting.append(((parent, ""), importer))  # it is executed first; no name is taken from it
        waiting += [(need, module) for need in source.needs]
        for taken in handed_on if name is None else {name} & handed_on.keys():
            origin = handed_on[taken]
            found[f"{module}.{taken}"] = short_hash(f"{origin[0]}:{origin[1]}".encode())
            waiting.append((origin, module))
    return found
