"""A syntax tree as text that is the same wherever the code does the same, on every Python that can read it.

What is left out does nothing when the code runs: comments, layout and positions; statements that are `pass` or a
constant alone, which docstrings are, of fields too; `if TYPE_CHECKING`; a literal's prefix `u`. Annotations count:
dataclasses and pydantic make fields, their order and conversions of them while the code runs.

Python's own `ast.dump` would not do. Its versions differ in which empty fields they have and show (3.12: the type
parameters of a function; 3.13: no empty lists) and in empty texts between the parts of an f-string.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

ImportStatement = ast.Import | ast.ImportFrom
# `ctx` says whether a name is read, set or deleted, which its place says already.
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
# Kind of node -> its name and the fields that matter, in alphabetical order; filled as kinds are met.
_SHAPES: dict[type[Any], tuple[str, tuple[str, ...]]] = {}


def canonical(statements: list[ast.stmt]) -> tuple[str, list[ImportStatement]]:
    """Return the text of some statements, and the import statements in them, inside functions too.

    Raises:
        RecursionError: if expressions lie thousands deep in each other.
    """
    writer = _Writer()
    writer.statements(statements)
    return "\n".join(writer.text), writer.imports


def effective(statements: list[Any]) -> Iterator[Any]:
    """Yield statements, without those that do nothing."""
    for each in statements:
        kind = type(each)
        if kind is ast.If and _is_type_checking(each.test):
            yield from effective(each.orelse)
        elif kind is not ast.Pass and not (kind is ast.Expr and type(each.value) is ast.Constant):
            yield each


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


class _Writer:
    """Goes through a tree once: a run has some 60 files, which are read while a person waits for it to start."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.imports: list[ImportStatement] = []

    def statements(self, statements: list[Any]) -> None:
        self.text.append("[")
        for each in effective(statements):
            if type(each) in (ast.Import, ast.ImportFrom):
                self.imports.append(each)
            self._node(each)
        self.text.append("]")

    def _node(self, node: Any) -> None:
        kind = type(node)
        text = self.text
        if kind is ast.Constant or kind is ast.MatchSingleton:
            text.append(f"{kind.__name__} {_literal(node.value)}")
            return
        name, fields = _SHAPES.get(kind) or _shape(kind)
        text.append(name)
        for field in fields:
            value: Any = getattr(node, field, None)
            if kind is ast.JoinedStr:
                value = [part for part in value if not _is_empty(part)]
            # An empty list, None, and 0 (a flag that is not set, an import that is not relative) are as if not there.
            if not value:
                continue
            text.append(field)
            if type(value) is not list:
                if isinstance(value, ast.AST):
                    self._node(value)
                else:
                    text.append(_literal(value))
            elif isinstance(value[0], ast.stmt):
                self.statements(value)
            else:
                self._list(value)
        text.append(")")

    def _list(self, values: list[Any]) -> None:
        self.text.append("[")
        for each in values:
            if isinstance(each, ast.AST):
                self._node(each)
            else:  # a name; None among a dict's keys, where `**` gives them
                self.text.append(_literal(each))
        self.text.append("]")


def _shape(kind: type[Any]) -> tuple[str, tuple[str, ...]]:
    _SHAPES[kind] = kind.__name__, tuple(sorted(set(kind._fields) - _LEFT_OUT))
    return _SHAPES[kind]


def _is_empty(part: ast.expr) -> bool:
    """Tell whether a part of an f-string is a text without characters."""
    return isinstance(part, ast.Constant) and part.value == ""


def _literal(value: Any) -> str:
    # Not repr: which characters it escapes, and how long a decimal number it writes, depend on the Python.
    return f"int {value:x}" if type(value) is int else ascii(value)
