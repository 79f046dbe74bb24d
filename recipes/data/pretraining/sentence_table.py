"""Documents of tokenized sentences on disk: one slice of a pre-training corpus, memory-mapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autolrs_recipes.data.translation.token_table import TokenTable, write_token_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_COLUMN = "tokens"


def write_sentences(
    folder: Path, batches: Iterable[list[list[int]]], sentences_per_document: NDArray[np.int64]
) -> None:
    """Write one slice into the empty `folder`.

    Args:
        folder: where `SentenceTable` finds it.
        batches: the token ids of consecutive sentences, none of them empty, a few thousand at a time.
        sentences_per_document: [D], each at least 1; together as many as there are sentences.
    """
    folder.mkdir()
    first_sentences = np.concatenate(([0], np.cumsum(sentences_per_document)))
    np.save(folder / "first_sentences.npy", first_sentences)
    # Of n sentences in a row, n - 1 have one that follows.
    np.save(folder / "first_anchors.npy", first_sentences - np.arange(len(first_sentences)))
    first_tokens = np.lib.format.open_memmap(
        folder / "first_tokens.npy", mode="w+", dtype=np.int64, shape=(int(first_sentences[-1]) + 1,)
    )
    rows = write_token_table(folder / "tokens.arrow", [_COLUMN], _measured(batches, first_tokens))
    assert rows == first_sentences[-1], (rows, first_sentences[-1])
    first_tokens.flush()


def _measured(
    batches: Iterable[list[list[int]]], first_tokens: Numbers
) -> Iterator[dict[str, list[list[int]]]]:
    done = 0
    first_tokens[0] = 0
    for batch in batches:
        lengths = np.array([len(tokens) for tokens in batch], dtype=np.int64)
        first_tokens[done + 1 : done + 1 + len(batch)] = first_tokens[done] + np.cumsum(lengths)
        done += len(batch)
        yield {_COLUMN: batch}


class SentenceTable:
    """One slice: sentences in the order of their documents; picklable by path, each process maps the files itself.

    Args:
        folder: written by `write_sentences`.

    Attributes:
        first_tokens: [S + 1], tokens before each sentence.
        first_sentences: [D + 1], sentences before each document.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()

    @property
    def num_sentences(self) -> int:
        """Return the number of sentences."""
        return len(self.first_tokens) - 1

    @property
    def num_documents(self) -> int:
        """Return the number of documents."""
        return len(self.first_sentences) - 1

    @property
    def num_anchors(self) -> int:
        """Return the number of sentences that another one of their document follows."""
        return int(self._first_anchors[-1])

    def anchors(self, numbers: Numbers) -> Numbers:
        """Return the sentences [N] that are the anchors `numbers` [N], each in [0, num_anchors)."""
        return numbers + self._document(self._first_anchors, numbers)

    def documents(self, sentences: Numbers) -> Numbers:
        """Return the documents [N] that `sentences` [N] stand in."""
        return self._document(self.first_sentences, sentences)

    def tokens(self, first: int, end: int) -> NDArray[np.int32]:
        """Return the tokens of sentences first, ..., end - 1, one after the other."""
        return np.concatenate([self._table[row] for row in range(first, end)])

    def at(self, places: Numbers) -> NDArray[np.int32]:
        """Return the tokens at `places` [N], counted over all sentences; see `first_tokens`."""
        return self._table.at(places)

    @staticmethod
    def _document(firsts: Numbers, numbers: Numbers) -> Numbers:
        found: Numbers = np.searchsorted(firsts, numbers, side="right") - 1
        return found

    def _open(self) -> None:
        self._table = TokenTable(self.folder / "tokens.arrow", _COLUMN)
        self.first_tokens = self._map("first_tokens")
        self.first_sentences = self._map("first_sentences")
        self._first_anchors = self._map("first_anchors")

    def _map(self, name: str) -> Numbers:
        # A plain view: np.memmap's own indexing costs several times an array's.
        mapped: Numbers = np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="r"))
        return mapped

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._open()
