"""For trackers that cannot take a point back: what may still be taken back waits, and nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from autolrs_cli.durable import replace_whole
from autolrs_cli.trackers.points import Point, Record


class Settling:
    """Holds back the kept steps of a searched stage until the stage can no longer be taken back (`rolled_back`)."""

    def __init__(self) -> None:
        self._waiting: list[Point] = []
        self._stage: int | None = None

    def take(self, record: Record, points: Iterable[Point]) -> list[Point]:
        """Return what can be said now, in the order of steps.

        Args:
            record: the next one of the journal.
            points: its own.
        """
        if record["event"] == "rolled_back":
            self._waiting = [point for point in self._waiting if point.step <= record["to_step"]]
            return []
        settled: list[Point] = []
        stage = record.get("stage")
        # Until the next stage has begun, an evaluation at this one's end may still come.
        ended = record["event"] == "run_finished" and record["status"] == "done"
        if ended or stage != self._stage:
            settled, self._waiting, self._stage = self._waiting, [], stage
        for point in points:
            waits = point.axis == "kept" and stage is not None
            (self._waiting if waits else settled).append(point)
        return settled


class Marks:
    """How far each curve has been written, kept in a file so that a resumed run repeats nothing.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = {}
        self.run: str | None = None
        """The tracker's own name for the run."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            self.run, self._last = str(stored["run"]), {str(k): int(v) for k, v in stored["last"].items()}

    def pass_on(self, points: Iterable[Point]) -> list[Point]:
        """Return the points that lie beyond what was written, and count them as written.

        They are noted before they are written: a process that is killed in between leaves a gap of a second or two,
        never a step that stands twice.
        """
        new = []
        for point in points:
            if point.step > self._last.get(point.name, -1):
                self._last[point.name] = point.step
                new.append(point)
        if new:
            self.save()
        return new

    def save(self) -> None:
        """Write them to the file, whole or not at all."""
        replace_whole(self._path, json.dumps({"run": self.run, "last": self._last}))
