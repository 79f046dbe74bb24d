"""A journal read while it grows, by another process that only reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


class JournalTail:
    """Give the records of a journal as they come.

    A torn last line waits until it is whole. Where the file was cut (a resumed run cuts off what it makes again), it
    is read anew from its beginning.

    Args:
        path: the file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._last = b""
        """The last line read, and whether it still stands there: a file may shrink and grow between two looks."""
        self.unreadable = 0
        """Whole lines that are no event; they are passed over."""

    def poll(self) -> tuple[bool, list[dict[str, Any]]]:
        """Return whether the journal begins anew, and the records that came since the last call."""
        try:
            with self._path.open("rb") as file:
                anew = not self._stands(file)
                if anew:
                    self._offset, self._last, self.unreadable = 0, b"", 0
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return False, []
        whole, newline, _ = text.rpartition(b"\n")
        lines = whole.split(b"\n") if newline else []
        if lines:
            self._offset += len(whole) + 1
            self._last = lines[-1] + b"\n"
        return anew, [record for line in lines if (record := self._record(line)) is not None]

    def _stands(self, file: Any) -> bool:
        file.seek(self._offset - len(self._last))
        return bool(file.read(len(self._last)) == self._last)

    def _record(self, line: bytes) -> dict[str, Any] | None:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if isinstance(record, dict) and {"event", "t", "step", "total_steps"} <= record.keys():
            return record
        self.unreadable += 1
        return None
