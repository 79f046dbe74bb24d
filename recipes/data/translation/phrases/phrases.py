"""English-German phrases, made from CLDR data and number words: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.values import NonNegativeInt, PositiveInt, checked
from autolrs_recipes.data.cache import content_hash
from autolrs_recipes.data.translation.pairs import Pair
from autolrs_recipes.data.translation.prepare import Corpus, PreparationSettings
from autolrs_recipes.data.translation.source import MaxLength, PreparedTranslation, VocabularySize

_MAKERS = ("draws", "fillers", "frames", "make", "words")


@checked
@dataclass(kw_only=True, eq=False)
class Phrases(PreparedTranslation):
    """Sentence frames whose blanks are filled with dates, numbers, prices, places; every English sentence once.

    The sentences with the smallest hashes are held out: their combinations of frame and fillers, and so their
    English side, do not occur in training.

    Args:
        num_pairs: sentence pairs in all three slices.
        generation_seed: fixes which pairs; no seed of a run does.
        choose_pairs: of them choose LRs.
        target_pairs: of them decide targets; BLEU is computed on them.
        vocab_size: tokens of the shared vocabulary, at most.
        max_length: tokens of a sentence, its end included, at most.
        cache_dir: where prepared data are kept; None: $AUTOLRS_CACHE_DIR, else the user's cache folder.
    """

    num_pairs: PositiveInt
    generation_seed: NonNegativeInt
    choose_pairs: PositiveInt
    target_pairs: PositiveInt
    vocab_size: VocabularySize
    max_length: MaxLength
    cache_dir: Annotated[str | None, FileSetting()] = None

    kind = "phrases"
    bundled = True  # nothing is to be given or loaded: it comes with what is installed

    def describe(self) -> str:
        """Say what the data is, in words."""
        made_with = f"Babel {version('babel')}, num2words {version('num2words')}"
        return f"English-German phrases ({made_with}), {self.prepared.facts.describe(self.max_length)}"

    def problems(self) -> list[str]:
        """Return every problem with the settings."""
        if self.choose_pairs + self.target_pairs < self.num_pairs:
            return []
        return [
            "Both held-out slices together must leave pairs for training, but got "
            f"data.choose_pairs={self.choose_pairs}, data.target_pairs={self.target_pairs} of "
            f"data.num_pairs={self.num_pairs}. Raise data.num_pairs."
        ]

    def settings(self) -> PreparationSettings:
        """Return how the pairs are prepared."""
        return PreparationSettings(self.vocab_size, self.max_length, 1.0, self.choose_pairs)

    def text(self, report: Report) -> tuple[dict[str, Any], Callable[[], Corpus]]:
        """Return what the phrases depend on, and what makes them."""
        here = Path(__file__)
        ingredients = {
            "num_pairs": self.num_pairs,
            "generation_seed": self.generation_seed,
            "target_pairs": self.target_pairs,
            "babel": version("babel"),
            "num2words": version("num2words"),
            "code": content_hash(here.with_name(f"{name}.py") for name in _MAKERS),
        }
        return ingredients, lambda: self._corpus(report)

    def _corpus(self, report: Report) -> Corpus:
        """Write the phrases; the slice that decides targets is cut off here, the one that chooses LRs later."""
        from autolrs_recipes.data.translation.phrases.make import by_hash, make_phrases

        pairs = list(make_phrases(self.num_pairs, self.generation_seed, report).items())
        held_out = set(by_hash(pairs)[: self.target_pairs])
        target = [pair for pair in pairs if pair in held_out]
        train = [pair for pair in pairs if pair not in held_out]

        def read(some: list[Pair]) -> Iterator[Pair]:
            return iter(some)

        return Corpus(lambda: read(train), lambda: read(target), None, "data.num_pairs")
