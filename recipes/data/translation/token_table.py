"""Token sequences in memory-mapped Arrow files: text of any size costs no memory but the pages being read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Mapping[str, Sequence[Sequence[int]]]
    """Column -> the token ids of consecutive rows."""

_ROWS_PER_CHUNK = 20_000


def write_token_table(path: Path, columns: Sequence[str], batches: Iterable[Rows]) -> int:
    """Write `batches` of rows to an Arrow file, never holding more than a few batches; return the number of rows.

    Args:
        path: the file, one per table, by convention "<name>.arrow".
        columns: names of the columns; each row has one sequence of token ids in each.
        batches: rows in order, each a mapping with all `columns`.
    """
    from datasets import Features, Value
    from datasets import Sequence as Tokens
    from datasets.arrow_writer import ArrowWriter

    features = Features({column: Tokens(Value("int32")) for column in columns})
    with ArrowWriter(path=str(path), features=features, writer_batch_size=_ROWS_PER_CHUNK) as writer:
        for batch in batches:
            for row in zip(*(batch[column] for column in columns), strict=True):
                writer.write(dict(zip(columns, row, strict=True)))
        rows, _ = writer.finalize()
    return int(rows)


class TokenTable:
    """The sequences of one column of a table; picklable, each process maps the file itself.

    Args:
        path: written by `write_token_table`.
        column: which column.
    """

    def __init__(self, path: Path, column: str) -> None:
        self.path = path
        self.column = column
        self._open()

    def __len__(self) -> int:
        return self._first_rows[-1]

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Return the token ids of a row, [length], without copying."""
        chunk = bisect_right(self._first_rows, row) - 1
        offsets = self._offsets[chunk]
        at = row - self._first_rows[chunk]
        return self._values[chunk][offsets[at] : offsets[at + 1]]

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the token ids at `places` [N], counted over all rows, one after the other."""
        chunks = np.searchsorted(self._first_places, places, side="right") - 1
        tokens = np.empty(len(places), np.int32)
        for chunk in np.unique(chunks).tolist():
            here = chunks == chunk
            tokens[here] = self._values[chunk][
                places[here] - self._first_places[chunk] + self._offsets[chunk][0]
            ]
        return tokens

    def lengths(self) -> NDArray[np.int32]:
        """Return the length of every row, [N]."""
        parts = [np.diff(offsets).astype(np.int32) for offsets in self._offsets]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def _open(self) -> None:
        # Not through `datasets`, which takes most of a second to import: a run only reads.
        column = pa.ipc.open_stream(pa.memory_map(str(self.path))).read_all().column(self.column)
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in column.chunks]
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in column.chunks]
        self._first_places = np.cumsum([0, *(int(o[-1]) - int(o[0]) for o in self._offsets)])
        self._first_rows: list[int] = [0, *np.cumsum([len(chunk) for chunk in column.chunks]).tolist()]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "column": self.column}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.column = state["path"], state["column"]
        self._open()
