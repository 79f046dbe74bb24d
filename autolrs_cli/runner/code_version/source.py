"""What of one source file matters."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from autolrs_cli.runner.code_version.syntax import ImportStatement, canonical, effective

HASH_DIGITS = 8
# A module, and the name that is taken from it; None: everything in it.
Need = tuple[str, str | None]


@dataclass(frozen=True)
class Source:
    """What of a module's file matters.

    Args:
        digest: of the statements; None: there are none that do something.
        needs: what its import statements take, those in functions too.
        handed_on: name -> what an `__init__` imports under it for others alone; it counts for who imports the name.
    """

    digest: str | None
    needs: tuple[Need, ...]
    handed_on: Mapping[str, Need]


def read_source(path: Path, module: str, *, splits: bool) -> Source:
    """Read a file of Python.

    Args:
        path: the file.
        module: its dotted name.
        splits: whether what an `__init__` hands on is told from what it does.
    """
    text = path.read_bytes()
    is_package = path.name == "__init__.py"
    try:
        statements = list(effective(ast.parse(text).body))
        handed_on: dict[str, Need] = {}
        if splits and is_package:
            statements, handed_on = _split(statements, module.partition(".")[0])
        form, imports = canonical(statements)
    except (SyntaxError, ValueError, RecursionError):
        # No code of this Python, or nested as no person writes it: then the bytes must do.
        return Source(short_hash(text), (), {})
    package = module if is_package else module.rpartition(".")[0]
    needs = dict.fromkeys(need for each in imports for need in _needs(each, package))
    return Source(short_hash(form.encode()) if statements else None, tuple(needs), handed_on)


def short_hash(text: bytes) -> str:
    """Return the first digits of the hash of a text."""
    return hashlib.sha256(text).hexdigest()[:HASH_DIGITS]


def _needs(statement: ImportStatement, package: str) -> Iterator[Need]:
    """Yield what an import statement in a module of `package` takes."""
    if isinstance(statement, ast.ImportFrom):
        # Two dots are one package up.
        up = package.split(".")[: 1 - statement.level or None] if statement.level else []
        origin = ".".join(filter(None, [*up, statement.module]))
        yield from ((origin, None if alias.name == "*" else alias.name) for alias in statement.names)
        return
    for alias in statement.names:
        # `import a.b` gives `a`, through which all of a and of a.b can be used; `import a.b as c` gives a.b alone.
        whole = [alias.name] if alias.asname else accumulate(alias.name.split("."), "{}.{}".format)
        yield from ((each, None) for each in whole)


def _split(statements: list[ast.stmt], own_package: str) -> tuple[list[ast.stmt], dict[str, Need]]:
    """Return what an `__init__` does itself, and the names that it only hands on."""
    others = [each for each in statements if not _hands_on(each, own_package)]
    used = {node.id for each in others for node in ast.walk(each) if isinstance(node, ast.Name)}
    own: list[ast.stmt] = []
    handed_on: dict[str, Need] = {}
    for each in statements:
        names = {alias.asname or alias.name: alias.name for alias in getattr(each, "names", ())}
        if isinstance(each, ast.ImportFrom) and _hands_on(each, own_package) and not used & names.keys():
            handed_on |= {name: (str(each.module), there) for name, there in names.items()}
        elif not _is_all(each):
            own.append(each)
    return own, handed_on


def _hands_on(statement: ast.stmt, own_package: str) -> bool:
    return (
        isinstance(statement, ast.ImportFrom)
        and not statement.level
        and str(statement.module).partition(".")[0] == own_package
        and all(alias.name != "*" for alias in statement.names)
    )


def _is_all(statement: ast.stmt) -> bool:
    """Tell whether it sets `__all__`, which lists what is handed on."""
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
