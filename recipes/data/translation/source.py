"""What all translation data do alike: being prepared once, in a folder named by what it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_recipes.data.cache import cache_root, prepared, quiet
from autolrs_recipes.data.translation.bpe import SMALLEST_VOCABULARY
from autolrs_recipes.data.translation.pairs import PreparedPairs
from autolrs_recipes.data.translation.prepare import Corpus, PreparationSettings, fill

VocabularySize = Annotated[int, Field(strict=True, ge=SMALLEST_VOCABULARY)]
MaxLength = Annotated[int, Field(strict=True, ge=2)]
"""Tokens of a sentence: one, and its end."""


class PreparedTranslation(ABC):
    """Sentence pairs that are prepared when they are first asked for; its subclasses say which."""

    vocab_size: VocabularySize
    max_length: MaxLength
    cache_dir: Annotated[str | None, FileSetting()]

    kind: ClassVar[str]
    """Folder of the cache that its prepared folders lie in."""

    @abstractmethod
    def settings(self) -> PreparationSettings:
        """Return how the pairs are prepared."""

    @abstractmethod
    def text(self, report: Report) -> tuple[dict[str, Any], Callable[[], Corpus]]:
        """Return what the text depends on, as JSON, and what reads it; cheap, since it is asked at every start."""

    def prepare(self, report: Report) -> None:
        """Make `prepared`, unless it was made before.

        Raises:
            ConfigError: if the text cannot be used.
        """
        if "prepared" not in self.__dict__:
            self.__dict__["prepared"] = self._prepare(report)

    def verify(self, report: Report) -> str:
        """Look for damage in every byte of `prepared`, and make it again if need be; say what was looked at."""
        self.__dict__["prepared"] = self._prepare(report, full=True)
        return f"every byte of the prepared data is sound: {self.prepared.folder}"

    @cached_property
    def prepared(self) -> PreparedPairs:
        """What was prepared; made now if need be."""
        return self._prepare(quiet)

    def _prepare(self, report: Report, *, full: bool = False) -> PreparedPairs:
        settings = self.settings()
        ingredients, corpus = self.text(report)
        folder = prepared(
            cache_root(self.cache_dir),
            self.kind,
            {**settings.ingredients(), **ingredients},
            lambda folder: fill(folder, corpus(), settings, report),
            report,
            full=full,
        )
        return PreparedPairs(folder)
