"""The thread between a run and a tracker: training only puts records on a queue, and never waits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from autolrs_cli.records.journal import read_journal
from autolrs_cli.trackers.points import WANTED, Record

# More than a minute of a miniature's steps; a tracker that is further behind is not going to catch up.
MOST_WAITING = 100_000
MOST_AT_ONCE = 1_000
GATHER_SECONDS = 1.0


class Tracker(Protocol):
    """Where curves go; called in one thread. Whatever it raises ends the tracking, not the run."""

    def log(self, records: Sequence[Record]) -> None:
        """Take the next records."""

    def begin_again(self) -> None:
        """Be told that the journal comes again from its start, without what was cut off."""

    def finish(self, status: str, summary: Mapping[str, Any] | None) -> None:
        """Take what the run ended with: "done", "failed" or "interrupted"."""


class Feed:
    """Hand a run's records to a tracker, in a thread of its own.

    Args:
        name: of the tracker, for messages.
        tracker: where they go.
        journal: the file, read again when a run goes on.
        warn: told once if tracking ends early.
    """

    def __init__(self, name: str, tracker: Tracker, journal: Path, warn: Callable[[str], None]) -> None:
        self._name, self._tracker, self._journal, self._warn = name, tracker, journal, warn
        self._queue: queue.Queue[Record | None] = queue.Queue(MOST_WAITING)
        self._status = "failed"
        self._summary: Mapping[str, Any] | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name=f"autolrs-{name}", daemon=True)
        self._thread.start()

    def show(self, record: Record) -> None:
        """Take a record; returns at once."""
        if self._given_up or record["event"] not in WANTED:
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._give_up(f"it is {MOST_WAITING:,} records behind")

    def conclude(self, summary: Mapping[str, Any]) -> None:
        """Take what the run ended with."""
        self._summary = summary

    def close(self) -> None:
        """Say that nothing more comes; returns at once."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._give_up(f"it is {MOST_WAITING:,} records behind")

    def wait(self, until: float) -> None:
        """Wait for the tracker to finish, until `time.monotonic()` is `until`."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._give_up("it did not finish in time")

    def _give_up(self, reason: str) -> None:
        if not self._given_up:
            self._given_up = True
            self._warn(
                f"tracker={self._name} stopped, since {reason}. The run and its journal are not affected."
            )

    def _run(self) -> None:
        try:
            ended = False
            while not ended and not self._given_up:
                records, ended = self._gather()
                self._log(records)
            if not self._given_up:
                self._tracker.finish(self._status, self._summary)
        except (
            Exception,
            SystemExit,
        ) as error:  # whatever the tracker's library raises must not cost the run
            said = str(error).strip().partition("\n")[0]
            self._give_up(f"it failed ({type(error).__name__}: {said})")

    def _gather(self) -> tuple[list[Record], bool]:
        """Wait for a record and take those of about a second with it: few, large writes."""
        records: list[Record] = []
        item, until = self._queue.get(), time.monotonic() + GATHER_SECONDS
        while item is not None:
            records.append(item)
            if len(records) == MOST_AT_ONCE:
                return records, False
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return records, False
        return records, True

    def _log(self, records: Sequence[Record]) -> None:
        for place, record in enumerate(records):
            if record["event"] == "resumed":
                self._log_history(record)
                return self._log(records[place + 1 :])
            if record["event"] == "run_finished":
                self._status = record["status"]
            elif record["event"] == "interrupted":
                self._status = "interrupted"
        if records:
            self._tracker.log(records)
        return None

    def _log_history(self, resumed: Record) -> None:
        """Read the journal up to where the run goes on: what earlier processes wrote, less what was cut off."""
        self._tracker.begin_again()
        some: list[Record] = []
        for record in read_journal(self._journal):
            if record["event"] in WANTED:
                some.append(record)
            if len(some) >= MOST_AT_ONCE:
                self._tracker.log(some)
                some = []
            if record["event"] == "resumed" and record["t"] == resumed["t"]:
                break
        self._tracker.log(some)
