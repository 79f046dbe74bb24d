"""Translations in text files: one sentence a line, its translation on the same line of another file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import HeldOutFraction, PositiveInt, checked
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.text_lines import count_lines, file_problems, read_lines
from autolrs_recipes.data.translation.pairs import Pair
from autolrs_recipes.data.translation.prepare import Corpus, PreparationSettings
from autolrs_recipes.data.translation.source import MaxLength, PreparedTranslation, VocabularySize

_File: TypeAlias = Annotated[str | None, FileSetting()]
_WHAT = "one sentence a line"


@checked
@dataclass(kw_only=True, eq=False)
class ParallelText(PreparedTranslation):
    """Pairs of text files, as `text_lines` reads them.

    Args:
        source: training sentences.
        target: their translations.
        validation_source: sentences that decide targets.
        validation_target: their translations.
        test_source: sentences that BLEU is computed on; None: those of the validation files.
        test_target: their translations.
        choose_fraction: share of the training sentences that chooses LRs instead ...
        choose_max_pairs: ... but this many pairs at most.
        vocab_size: tokens of the shared vocabulary, at most.
        max_length: tokens of a sentence, its end included, at most.
        cache_dir: where prepared data are kept; None: $AUTOLRS_CACHE_DIR, else the user's cache folder.
    """

    source: _File
    target: _File
    validation_source: _File
    validation_target: _File
    test_source: _File
    test_target: _File
    choose_fraction: HeldOutFraction
    choose_max_pairs: PositiveInt
    vocab_size: VocabularySize
    max_length: MaxLength
    cache_dir: _File = None

    kind = "parallel_text"

    def describe(self) -> str:
        """Say what the data is, in words."""
        return (
            f"parallel text ({self.source}, {self.target}), {self.prepared.facts.describe(self.max_length)}"
        )

    def problems(self) -> list[str]:
        """Return every problem with settings and files; sentences are looked at when they are prepared."""
        found: list[str] = []
        for pair in self._key_pairs():
            files = [problem for key in pair for problem in self._file_problems(key)]
            found += files or self._line_problems(*pair)
        return found + self._same_file_problems()

    def settings(self) -> PreparationSettings:
        """Return how the pairs are prepared."""
        return PreparationSettings(
            self.vocab_size, self.max_length, self.choose_fraction, self.choose_max_pairs
        )

    def text(self, report: Report) -> tuple[dict[str, Any], Callable[[], Corpus]]:
        """Return what the text depends on, and what reads it."""
        files = [self._path(key) for pair in self._key_pairs() for key in pair]
        return {
            "files": len(files),
            "text": content_hash(files, report, cache_root(self.cache_dir)),
        }, self._corpus

    def _corpus(self) -> Corpus:
        train, target, *test = (self._reader(*pair) for pair in self._key_pairs())
        where = ", ".join(f"data.{key}={getattr(self, key)}" for pair in self._key_pairs() for key in pair)
        return Corpus(train, target, test[0] if test else None, where)

    def _reader(self, source: str, target: str) -> Callable[[], Iterator[Pair]]:
        paths = self._path(source), self._path(target)
        return lambda: zip(*map(read_lines, paths), strict=True)

    def _key_pairs(self) -> list[tuple[str, str]]:
        """Return the settings that name a pair of files, BLEU's only if one of them is given."""
        pairs = [("source", "target"), ("validation_source", "validation_target")]
        if self.test_source is not None or self.test_target is not None:
            pairs.append(("test_source", "test_target"))
        return pairs

    def _path(self, key: str) -> Path:
        return Path(getattr(self, key)).expanduser()

    def _file_problems(self, key: str) -> list[str]:
        what = _WHAT
        if key.startswith("validation"):
            what += ", which decide targets (held out: no line of the training files)"
        return file_problems(f"data.{key}", getattr(self, key), what)

    def _line_problems(self, source: str, target: str) -> list[str]:
        try:
            lines = [count_lines(self._path(key)) for key in (source, target)]
        except ConfigError as error:
            return list(error.problems)
        except OSError as error:
            return [f"`data.{source}` and `data.{target}` must be readable, but are not: {error}."]
        if lines[0] == lines[1]:
            return []
        return [
            f"`data.{source}` and `data.{target}` must have a line for each other's, but "
            f"{getattr(self, source)} has {lines[0]:,} lines and {getattr(self, target)} has {lines[1]:,}. "
            "Align them line by line."
        ]

    def _same_file_problems(self) -> list[str]:
        """Refuse a file that is given twice: held-out sentences must not be trained on, nor sides be equal."""
        keys = [key for pair in self._key_pairs() for key in pair if getattr(self, key)]
        first: dict[Path, str] = {}
        found = []
        for key in keys:
            path = self._path(key).resolve()
            if path in first:
                found.append(
                    f"`data.{first[path]}` and `data.{key}` must be different files, but both are "
                    f"{getattr(self, key)}. Set data.{key}."
                )
            first.setdefault(path, key)
        return found
