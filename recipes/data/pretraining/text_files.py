"""Text files to pre-train on: one sentence a line, or plain text that is split into sentences."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import checked
from autolrs_recipes.checks import named
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.pretraining.sentence_splitting import cut_documents, split_sentences
from autolrs_recipes.data.pretraining.source import DocumentSentences, PreparedText
from autolrs_recipes.data.text_lines import file_problems, read_lines

# A document is in memory while it is read.
_MAX_BLOCK_LINES = 1_000_000
_CONTENT = "sentences and blank lines between documents"


@checked
@dataclass(kw_only=True, eq=False)
class TextFiles(PreparedText):
    """Files of text, as `text_lines` reads them.

    Args:
        files: names, or patterns with `*`, `?` and `[...]`.
        validation_files: the same, for the text that decides targets; empty: documents of `files` are held out.
        format: "sentences": one a line, a blank line between documents. "plain": lines are joined to paragraphs,
            which end at a blank line; their sentences are found by rules for English. Not guessed: either is
            valid as the other, and a wrong guess would go unnoticed.
        document_sentences: of plain text, which does not mark them, documents get so many sentences, and end with
            a paragraph.
    """

    files: Annotated[Sequence[str] | str | None, FileSetting(pattern=True)]
    validation_files: Annotated[Sequence[str] | str | None, FileSetting(pattern=True)]
    format: Literal["sentences", "plain"]
    document_sentences: DocumentSentences

    advice = (
        "Give more text. With data.format=sentences a document ends at a blank line and at the end of a file; text "
        "without blank lines that tell documents apart is data.format=plain."
    )

    def source(self) -> str:
        """Say where the text is from, in words."""
        train, held_out = (len(paths) for paths in self._paths)
        return f"{train} text file{'s' * (train > 1)}" + (
            f" and {held_out} for validation" if held_out else ""
        )

    def source_problems(self) -> list[str]:
        """Return every problem with the settings, and with the files as far as their names tell."""
        found: list[str] = []
        if not self.files:
            found.append(
                f"`data.files` must name text files, but got data.files={self.files!r}. "
                "Set data.files=[FILE,...]; patterns like 'corpus/*.txt' will do."
            )
        for key, given in (("data.files", self.files), ("data.validation_files", self.validation_files)):
            for name in _names(given):
                found += _name_problems(key, name)
        return found or self._repetitions()

    def _repetitions(self) -> list[str]:
        seen: set[Path] = set()
        again: list[str] = []
        for path in (path.resolve() for paths in self._paths for path in paths):
            if path in seen:
                again.append(str(path))
            seen.add(path)
        if not again:
            return []
        return [
            "Each file of data.files and data.validation_files must be named once, since text that is trained on "
            f"twice or validated with is not what it seems, but got twice: {named(again)}. Remove one of each."
        ]

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return content and format of the files."""
        train, held_out = self._paths
        return {
            "format": self.format,
            "document_sentences": self.document_sentences if self.format == "plain" else None,
            "files": content_hash(train, report, cache_root(self.cache_dir)),
            "validation_files": content_hash(held_out, report, cache_root(self.cache_dir)),
        }

    def documents(self, report: Report) -> Iterator[list[str]]:
        """Yield the documents of the training files."""
        files = self._paths[0]
        for number, path in enumerate(files):
            if number * 100 % len(files) < 100:
                report("reading text files", number, len(files))
            yield from self._read(path)

    def validation(self) -> Iterator[list[str]]:
        """Yield the documents of the validation files."""
        return chain.from_iterable(map(self._read, self._paths[1]))

    def _read(self, path: Path) -> Iterator[list[str]]:
        blocks = _blocks(path)
        if self.format == "sentences":
            return blocks
        paragraphs = (split_sentences(" ".join(lines)) for lines in blocks)
        return cut_documents(paragraphs, self.document_sentences)

    @cached_property
    def _paths(self) -> tuple[list[Path], list[Path]]:
        """The files to train on and to validate with, in the order given; those of a pattern by name."""
        train, held_out = (
            [path for name in _names(given) for path in _expanded(name)]
            for given in (self.files, self.validation_files)
        )
        return train, held_out


def _names(given: Sequence[str] | str | None) -> list[Any]:
    """Return a list of names, also from one name (data.files=a.txt)."""
    return [given] if given and isinstance(given, str) else list(given or ())


def _expanded(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.exists() or not glob.has_magic(name):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob knows no absolute patterns
    return [Path(name) for name in found if Path(name).is_file()]


def _name_problems(key: str, name: object) -> list[str]:
    if not isinstance(name, str):
        return []  # refused by its type
    found = _expanded(name)
    if not found:
        return [f"`{key}` must name files, but no file matches {key}={name}. Set {key}."]
    return [problem for path in found for problem in file_problems(key, str(path), _CONTENT)]


def _blocks(path: Path) -> Iterator[list[str]]:
    """Yield the runs of lines between blank lines."""
    block: list[str] = []
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            block.append(line)
            if len(block) > _MAX_BLOCK_LINES:
                raise ConfigError(
                    f"A blank line must end each document, or each paragraph of data.format=plain, but the "
                    f"{_MAX_BLOCK_LINES:,} lines up to line {number:,} of {path} have none. Put blank lines between "
                    "documents."
                )
        elif block:
            yield block
            block = []
    if block:
        yield block
