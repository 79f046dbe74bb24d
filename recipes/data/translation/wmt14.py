"""WMT 2014, or any translation data of the Hugging Face hub in its form, from the hub or a local copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import HeldOutFraction, PositiveInt, checked
from autolrs_recipes.data import hub
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.translation.pairs import Pair
from autolrs_recipes.data.translation.prepare import Corpus, PreparationSettings
from autolrs_recipes.data.translation.source import MaxLength, PreparedTranslation, VocabularySize

if TYPE_CHECKING:
    from datasets import Dataset

_EXAMPLE = "wmt/wmt14 (the hub's; downloads about 1.7 GB)"
_COLUMN = "translation"
_ROWS = 1000


@checked
@dataclass(kw_only=True, eq=False)
class WMT14(PreparedTranslation):
    """Rows of {"translation": {language: sentence, ...}} in three splits.

    Args:
        name: name on the hub, or a folder with a copy.
        config: the hub's configuration; None: its only one.
        source_language: key of the sentences, for example "en".
        target_language: key of their translations, for example "de".
        train_split: trained on, and split off for choosing LRs.
        validation_split: decides targets.
        test_split: BLEU is computed on it; None: on the validation split.
        choose_fraction: share of the training sentences that chooses LRs instead ...
        choose_max_pairs: ... but this many pairs at most.
        vocab_size: tokens of the shared vocabulary, at most.
        max_length: tokens of a sentence, its end included, at most.
        cache_dir: where prepared data are kept; None: $AUTOLRS_CACHE_DIR, else the user's cache folder.
    """

    name: Annotated[str | None, FileSetting(or_name=True)]
    config: str | None
    source_language: str
    target_language: str
    train_split: str
    validation_split: str
    test_split: str | None
    choose_fraction: HeldOutFraction
    choose_max_pairs: PositiveInt
    vocab_size: VocabularySize
    max_length: MaxLength
    cache_dir: Annotated[str | None, FileSetting()] = None

    kind = "wmt14"

    def describe(self) -> str:
        """Say what the data is, in words."""
        languages = f"{self.source_language}-{self.target_language}"
        return f"{self.name} ({languages}), {self.prepared.facts.describe(self.max_length)}"

    def problems(self) -> list[str]:
        """Return every problem with the settings; the network is not asked."""
        found = hub.problems("data.name", self.name, _EXAMPLE)
        splits = [s for s in (self.train_split, self.validation_split, self.test_split) if s is not None]
        if len(set(splits)) < len(splits):
            found.append(
                "`data.train_split`, `data.validation_split` and `data.test_split` must differ, but got "
                f"{', '.join(splits)}. Held-out sentences must not be trained on."
            )
        return found

    def settings(self) -> PreparationSettings:
        """Return how the pairs are prepared."""
        return PreparationSettings(
            self.vocab_size, self.max_length, self.choose_fraction, self.choose_max_pairs
        )

    def text(self, report: Report) -> tuple[dict[str, Any], Callable[[], Corpus]]:
        """Return what the text depends on, and what reads it; loads the data."""
        assert self.name is not None
        names = (self.train_split, self.validation_split, self.test_split)
        report("loading data", 0, None)
        splits = [
            None if name is None else hub.load("data.name", self.name, self.config, name) for name in names
        ]
        files = [
            Path(file["filename"]) for split in splits if split is not None for file in split.cache_files
        ]
        ingredients = {
            "languages": [self.source_language, self.target_language],
            "splits": [split is not None for split in splits],
            "rows": content_hash(files, report, cache_root(self.cache_dir)),
        }
        return ingredients, lambda: self._corpus(splits)

    def _corpus(self, splits: list[Dataset | None]) -> Corpus:
        train, target, test = (None if split is None else self._reader(split) for split in splits)
        assert train is not None
        assert target is not None
        return Corpus(train, target, test, f"data.name={self.name}")

    def _reader(self, split: Dataset) -> Callable[[], Iterator[Pair]]:
        if _COLUMN not in split.column_names:
            raise ConfigError(
                f'`data.name` must be data with a column "{_COLUMN}", but data.name={self.name} has '
                f"{', '.join(split.column_names)}. Set data.name={_EXAMPLE.split()[0]}, for example."
            )
        languages = list(split.features[_COLUMN])
        for key in ("source_language", "target_language"):
            if getattr(self, key) not in languages:
                raise ConfigError(
                    f"`data.{key}` must be one of {', '.join(languages)}, the languages of data.name={self.name} "
                    f"(data.config={self.config}), but got {getattr(self, key)}. Set data.{key} or data.config."
                )
        return lambda: self._pairs(split)

    def _pairs(self, split: Dataset) -> Iterator[Pair]:
        for batch in split.iter(batch_size=_ROWS):
            for row in batch[_COLUMN]:
                yield row[self.source_language] or "", row[self.target_language] or ""
