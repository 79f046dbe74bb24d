"""What all translation data share: sentence pairs in three disjoint slices, in tokens, in one prepared folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from autolrs_cli.contracts import Report
from autolrs_cli.errors import TrainingError
from autolrs_recipes.data.translation.token_table import TokenTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

Slice: TypeAlias = Literal["train", "choose", "target"]
Pair: TypeAlias = tuple[str, str]
"""A sentence and its translation."""

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
PAD_ID, END_ID, UNKNOWN_ID = 0, 1, 2

# The files of a prepared folder; each slice is <slice>.arrow.
TOKENIZER_FILE = "tokenizer.json"
FACTS_FILE = "facts.json"
TEST_FILE = "test.jsonl"
SOURCE, TARGET = "source", "target"


class TranslationData(Protocol):
    """Sentence pairs in three disjoint slices that do not depend on any seed of the run."""

    @property
    def max_length(self) -> int:
        """Return the most tokens that a sentence has on either side, its end included."""

    def describe(self) -> str:
        """Say what the data is, in words."""

    def problems(self) -> list[str]:
        """Return every problem with settings and files, each naming its key and the way out."""

    def prepare(self, report: Report) -> None:
        """Make `prepared`, unless it was made before.

        Raises:
            ConfigError: if the text cannot be used.
        """

    @property
    def prepared(self) -> PreparedPairs:
        """Return what was prepared; made now if need be."""


@dataclass(frozen=True)
class Facts:
    """What is known of prepared pairs.

    Args:
        sizes: pairs per slice, and under "test" those that BLEU is computed on.
        blank: training pairs left out because a side is empty.
        long: training pairs left out because a side has more than the most tokens.
        repeated: training pairs left out because they stand in a held-out slice, too.
        cut: held-out pairs that were cut to the most tokens, for their losses.
        vocabulary: number of tokens.
        fingerprint: hash of tokenizer and tokens of all slices.
    """

    sizes: dict[str, int]
    blank: int
    long: int
    repeated: int
    cut: int
    vocabulary: int
    fingerprint: str

    def describe(self, max_length: int) -> str:
        """Say how many pairs there are, and what happened to those that could not be used."""
        left_out = {
            "with an empty side": self.blank,
            f"of more than {max_length} tokens": self.long,
            "that are held out, too": self.repeated,
        }
        said = [f"{count:,} {why}" for why, count in left_out.items() if count]
        text = f"{self.sizes['train']:,} pairs, {self.vocabulary:,} tokens in the vocabulary"
        if said:
            text += "; left out of training: " + ", ".join(said)
        if self.cut:
            text += f"; {self.cut:,} held-out pairs cut to {max_length} tokens"
        return text


@dataclass(frozen=True)
class PreparedPairs:
    """A prepared folder.

    Args:
        folder: filled by `translation_preparing.fill`.
    """

    folder: Path

    @cached_property
    def facts(self) -> Facts:
        """What is known of the pairs."""
        return Facts(**json.loads((self.folder / FACTS_FILE).read_text(encoding="utf-8")))

    @property
    def sizes(self) -> dict[str, int]:
        """Pairs per slice."""
        return {name: self.facts.sizes[name] for name in ("train", "choose", "target")}

    @property
    def tokenizer_file(self) -> Path:
        """The shared tokenizer, as the tokenizers library writes it."""
        return self.folder / TOKENIZER_FILE

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer: it ends every sentence with `END`, and reads that as text where text has it."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        tokenizer.encode_special_tokens = True
        return tokenizer

    def pairs(self, which: Slice) -> PairTable:
        """Open a slice."""
        return PairTable(self.folder / f"{which}.arrow")

    def test_sentences(self) -> list[Pair]:
        """Return the pairs that BLEU is computed on, as text, uncut, in their own order.

        Raises:
            TrainingError: if they have vanished since they were prepared.
        """
        try:
            with (self.folder / TEST_FILE).open(encoding="utf-8") as file:
                return [(source, target) for source, target in map(json.loads, file)]
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"Prepared data must stay where they are while training, but {self.folder / TEST_FILE} cannot be read: "
                f"{error}. Resume the run: what is damaged is made again."
            ) from error


class PairTable:
    """The tokens of the pairs of one slice; picklable, each process maps the file itself.

    Args:
        path: written by `write_token_table` with the columns `SOURCE` and `TARGET`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def source(self) -> TokenTable:
        """The sentences."""
        return TokenTable(self.path, SOURCE)

    @cached_property
    def target(self) -> TokenTable:
        """Their translations."""
        return TokenTable(self.path, TARGET)

    def __len__(self) -> int:
        return len(self.source)

    def lengths(self) -> NDArray[np.int32]:
        """Return the length of the longer side of every pair, [N], in tokens."""
        import numpy as np

        longer: NDArray[np.int32] = np.maximum(self.source.lengths(), self.target.lengths())
        return longer

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}
