"""The journal: one strict-JSON event per line, readable while it grows."""

from __future__ import annotations

import errno
import math
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, get_args

import orjson

from autolrs_cli.errors import UnwritableError
from autolrs_cli.records.events import Event, Step, TrialStep, event_name
from autolrs_cli.records.record_schema import verified

Record = dict[str, Any]
Listener = Callable[[Record], None]
# Points of a curve may sit in the buffer this long; every other event is written through at once.
FLUSH_SECONDS = 0.5
# Name and fields of each event class, looked up once: writing a step must cost microseconds.
SHAPES = {cls: (event_name(cls), tuple(f.name for f in fields(cls))) for cls in get_args(Event)}


@dataclass
class Place:
    """Where the run is; stamped on every record."""

    step: int = 0
    total_steps: int = 0
    phase: str | None = None
    stage: int | None = None
    trial: int | None = None


class Journal:
    """Append events to a file and hand each record to listeners.

    Args:
        path: the file; created, must not exist, unless `resume`.
        started: `time.perf_counter()` at the run's first start: the zero of `t`.
        listeners: called in the training thread, so they must return at once (put the record on a queue).
        resume: append to a journal that is there.
    """

    def __init__(
        self, path: Path, *, started: float, listeners: tuple[Listener, ...] = (), resume: bool = False
    ) -> None:
        self.place = Place()
        self._started = started
        self._listeners = listeners
        self._file = path.open("ab" if resume else "xb", buffering=1 << 16)
        self._flushed_at = 0.0

    @property
    def t(self) -> float:
        """Seconds since the run first started."""
        return time.perf_counter() - self._started

    def write(self, event: Event) -> None:
        """Append `event`.

        Raises:
            UnwritableError: if the file cannot be written (disk full, folder gone).
        """
        record = self._record(event)
        try:
            self._file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            self._flush_if_due(event)
        except OSError as error:
            raise self._unwritable(error) from error
        for listener in self._listeners:
            listener(record)

    def mark(self) -> int:
        """Write everything through to the disk and return the journal's length in bytes.

        Raises:
            UnwritableError: if the file cannot be written.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        return self._file.tell()

    def _unwritable(self, error: OSError) -> UnwritableError:
        return UnwritableError(
            f"The journal must stay writable, but {self._file.name} is not: {error.strerror}. Free space or mend the "
            f"folder, then go on from the last checkpoint: autolrs resume "
            + shlex.quote(str(Path(self._file.name).parent))
        )

    def close(self) -> None:
        """Write what is buffered and close the file; a disk that is full or gone was reported by `write`."""
        with suppress(OSError):
            self._file.close()

    def _record(self, event: Event) -> Record:
        place = self.place
        event_type, names = SHAPES[type(event)]
        record: Record = {
            "event": event_type,
            "t": round(self.t, 4),
            "step": place.step,
            "total_steps": place.total_steps,
        }
        if place.phase is not None:
            record["phase"] = place.phase
        if place.stage is not None:
            record["stage"] = place.stage
        if place.trial is not None:
            record["trial"] = place.trial
        for name in names:
            record[name] = getattr(event, name)
        return record

    def _flush_if_due(self, event: Event) -> None:
        now = time.perf_counter()
        if not isinstance(event, Step | TrialStep) or now - self._flushed_at > FLUSH_SECONDS:
            self._file.flush()
            self._flushed_at = now


def read_journal(path: Path, end: float = math.inf) -> Iterator[Record]:
    """Yield the records of a journal in order, leaving out a torn last line.

    Args:
        path: the file.
        end: bytes after which nothing is read.

    Raises:
        OSError: if it cannot be read.
        ValueError: if a line before the last one is not a JSON object.
    """
    return _read(path, end, orjson.loads)


def read_verified(path: Path, end: float = math.inf) -> Iterator[Record]:
    """Yield the records of a journal that may have been edited: what is in their fields is what events have there.

    Args:
        path: the file.
        end: bytes after which nothing is read.

    Raises:
        OSError: if it cannot be read.
        ValueError: if a line before the last one is not an event.
    """
    return _read(path, end, verified)


def _read(path: Path, end: float, parse: Callable[[bytes], Any]) -> Iterator[Record]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            end -= len(line)
            if not line.endswith(b"\n") or end < 0:
                return
            try:
                record = parse(line)
            except ValueError as error:
                raise ValueError(
                    f"Every line of a journal must be a JSON object, but line {number} of {path} is not: {error}."
                ) from error
            if not isinstance(record, dict):
                raise ValueError(
                    f"Every line of a journal must be a JSON object, but line {number} of {path} is not."
                )
            yield record


def read_tail(path: Path, offset: int) -> list[tuple[int, Record]]:
    """Return every whole record from `offset` on, each with the position where its line ends.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is shorter than `offset`, or a whole line is not an event.
    """
    with _opened(path) as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise ValueError(f"it has fewer than the {offset:,} bytes that the checkpoint counted.")
        file.seek(offset)
        tail, position = [], offset
        for line in file:
            position += len(line)
            if not line.endswith(b"\n"):
                break
            tail.append((position, _parse(line, position, path)))
    return tail


def cut_journal(path: Path, end: int) -> None:
    """Shorten the file to `end` bytes, on the disk too."""
    with path.open("r+b") as file:
        file.truncate(end)
        file.flush()
        os.fsync(file.fileno())


def _parse(line: bytes, place: int, path: Path) -> Record:
    try:
        return verified(line)
    except ValueError as error:
        raise ValueError(
            f"what stands before byte {place:,} of {path.name} is not an event: {error}."
        ) from error


def _opened(path: Path) -> BinaryIO:
    """Open a file to read; anything else under its name (a pipe, a device) could be waited for without end.

    Raises:
        OSError: if it is not there, or not a file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.open("rb")
