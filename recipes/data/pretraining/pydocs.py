"""The running Python's own documentation: its topics and its standard library's docstrings, read as text."""

from __future__ import annotations

import ast
import os
import platform
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autolrs_cli.contracts import Report
from autolrs_cli.values import checked
from autolrs_recipes.data.cache import content_hash
from autolrs_recipes.data.pretraining.pydocs_cleaning import sentences_of
from autolrs_recipes.data.pretraining.source import PreparedText

_TOPICS = "pydoc_data/topics.py"
# Tests, what others installed, and what installing wrote down about this machine.
_NOT_DOCUMENTATION = frozenset(
    ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib-dynload", "_bundled")
)
_OF_THIS_MACHINE = ("_sysconfigdata", "_sysconfig_vars", "sitecustomize", "usercustomize")


@checked
@dataclass(kw_only=True, eq=False)
class PyDocs(PreparedText):
    """Each topic and each module's docstrings are a document. Nothing is imported: source files are parsed."""

    bundled = True  # nothing is to be given or loaded: it comes with what is installed
    advice = "Set data.choose_fraction and data.target_fraction to hold out less."

    def source(self) -> str:
        """Say where the text is from, in words."""
        return f"Python {platform.python_version()}'s documentation (topics and docstrings)"

    def source_problems(self) -> list[str]:
        """Return a problem if this Python came without its sources."""
        if any(path.as_posix().endswith(_TOPICS) for path in self._files):
            return []
        return [
            f"data=pydocs needs the standard library's source files, but {_library()} has no {_TOPICS}. "
            "Set data=text_files and data.files, or use a Python that has them."
        ]

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return version and content of the source files."""
        library = _library()  # asking for it takes a millisecond
        return {
            "python": platform.python_version(),
            "files": [path.relative_to(library).as_posix() for path in self._files],
            "content": content_hash(self._files, report),
        }

    def documents(self, report: Report) -> Iterator[list[str]]:
        """Yield the sentences of each topic and module, in the order of their names."""
        for number, path in enumerate(self._files):
            if number % 50 == 0:
                report("reading docstrings", number, len(self._files))
            tree = _parse(path)
            texts = [[text] for text in _topics(tree)] if path.as_posix().endswith(_TOPICS) else []
            for document in (*texts, list(_docstrings(tree))):
                yield [sentence for text in document for sentence in sentences_of(text)]

    @cached_property
    def _files(self) -> list[Path]:
        """The library's Python files, in the order of their names."""
        return sorted(_documentation(_library()), key=lambda path: path.as_posix())


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _documentation(library: Path) -> Iterator[Path]:
    """Yield the library's Python files; folders of other things, which may hold far more, are not gone through."""
    for folder, inner, names in os.walk(library):
        inner[:] = [name for name in inner if name not in _NOT_DOCUMENTATION]
        for name in names:
            if name.endswith(".py") and not name.startswith(_OF_THIS_MACHINE):
                yield Path(folder, name)


def _parse(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old modules
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # templates that are not Python before they are filled in
            return ast.Module(body=[], type_ignores=[])


def _topics(tree: ast.Module) -> Iterator[str]:
    """Yield the topics in the order of their names: their file is one dictionary literal."""
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict):
            topics = ast.literal_eval(node.value)
            for name in sorted(topics):
                yield topics[name]


def _docstrings(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, in the order of the source."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        if text := ast.get_docstring(node):
            yield text
        for child in node.body:
            yield from _docstrings(child)
