"""What all text to pre-train on shares: three slices of documents, tokenized once, and their vocabulary."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.values import HeldOutFraction, PositiveInt
from autolrs_recipes.data.cache import cache_root, prepared, quiet
from autolrs_recipes.data.pretraining.prepare import SUMMARY, TOKENIZER, Documents, Split, prepare_text
from autolrs_recipes.data.pretraining.sentence_table import SentenceTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Slice: TypeAlias = Literal["train", "choose", "target"]

# Raised when the same text would be prepared differently: what was prepared before is then made again.
_FORMAT = 1
_LEAST_VOCABULARY = 100

DocumentSentences = Annotated[int, Field(strict=True, ge=2)]
"""Sentences of a document that is cut out of running text: a pair of them."""


class PretrainingData(Protocol):
    """Documents of sentences in three disjoint slices that do not depend on any seed, and a vocabulary."""

    def describe(self) -> str:
        """Say what the data is, in words."""

    def problems(self) -> list[str]:
        """Return every problem with settings and files, each naming its key and the way out."""

    def prepare(self, report: Report) -> None:
        """Make what `sentences` reads, unless it was made before.

        Raises:
            ConfigError: if the text cannot be used.
        """

    def fingerprint(self) -> str:
        """Return a hash of content, split and vocabulary."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the trained tokenizer, with the special tokens of `pretraining_tokenizer`."""

    def sentences(self, which: Slice) -> SentenceTable:
        """Open a slice."""

    def longer_than(self, tokens: int) -> int:
        """Return the number of sentences of more than so many tokens."""


@dataclass(kw_only=True, eq=False)
class PreparedText(ABC):
    """Text that is split into slices by the content of its documents, and tokenized into a cache.

    A base class, since Hydra hands settings to one object, and all but reading is the same for every source.

    Args:
        vocab_size: entries of the vocabulary, at most: a small text has fewer.
        tokenizer_sentences: sentences that the vocabulary is trained on, at most, spread evenly over the text.
        choose_fraction: share of the documents that chooses LRs.
        target_fraction: share of the documents that decides targets.
        cache_dir: where prepared data is kept; None: see `cache_root`.
    """

    vocab_size: Annotated[int, Field(strict=True, ge=_LEAST_VOCABULARY)]
    tokenizer_sentences: PositiveInt
    choose_fraction: HeldOutFraction
    target_fraction: HeldOutFraction
    cache_dir: Annotated[str | None, FileSetting()]

    advice: ClassVar[str] = "Give more text."
    """What to do about too few documents."""

    @abstractmethod
    def source(self) -> str:
        """Say where the text is from, in words."""

    @abstractmethod
    def source_problems(self) -> list[str]:
        """Return every problem with the settings and files of the source."""

    @abstractmethod
    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return all that the text depends on, as JSON; cheap, since it is asked for at every start."""

    @abstractmethod
    def documents(self, report: Report) -> Documents:
        """Return the text; read once, in order."""

    def validation(self) -> Documents:
        """Return the text that decides targets; empty: documents are held out."""
        return ()

    def describe(self) -> str:
        """Say what the data is, in words."""
        documents, sentences = self._summary["documents"], self._summary["sentences"]
        return (
            f"{self.source()}, {sum(documents.values()):,} documents with {sum(sentences.values()):,} sentences, "
            f"{self._summary['vocab_size']:,} word pieces"
        )

    def problems(self) -> list[str]:
        """Return every problem with the source."""
        return self.source_problems()

    def prepare(self, report: Report) -> None:
        """Make what `sentences` reads, unless it was made before."""
        if "_folder" not in self.__dict__:
            self._folder = self._prepared(report)

    def verify(self, report: Report) -> str:
        """Look for damage in every byte of what was prepared, and make it again if need be; say what was looked at."""
        self._folder = self._prepared(report, full=True)
        return f"every byte of the prepared data is sound: {self._folder}"

    def fingerprint(self) -> str:
        """Return a hash of content, split and vocabulary."""
        return str(self._summary["fingerprint"])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Return the trained tokenizer."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self._folder / TOKENIZER))

    def sentences(self, which: Slice) -> SentenceTable:
        """Open a slice."""
        return SentenceTable(self._folder / which)

    def longer_than(self, tokens: int) -> int:
        """Return the number of sentences of more than so many tokens."""
        return int(sum(self._summary["sentences_by_length"][tokens + 1 :]))

    @cached_property
    def _folder(self) -> Path:
        return self._prepared(quiet)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self._folder / SUMMARY).read_text(encoding="utf-8"))
        return summary

    def _prepared(self, report: Report, *, full: bool = False) -> Path:
        split = Split(
            self.vocab_size,
            self.tokenizer_sentences,
            self.choose_fraction,
            self.target_fraction,
            self.advice,
        )
        ingredients = {
            "format": _FORMAT,
            "source": self.ingredients(report),
            "vocab_size": self.vocab_size,
            "tokenizer_sentences": self.tokenizer_sentences,
            "choose_fraction": self.choose_fraction,
            "target_fraction": self.target_fraction,
            "versions": {name: version(name) for name in ("tokenizers", "sentencex")},
        }

        def make(folder: Path) -> None:
            prepare_text(folder, self.documents(report), self.validation(), split, report)

        root = cache_root(self.cache_dir)
        return prepared(root, "pretraining", ingredients, make, report, full=full)
