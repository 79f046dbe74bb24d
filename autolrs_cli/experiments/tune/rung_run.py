"""One training run in a process of its own, begun or gone on with, and what tuning reads of it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from autolrs_cli.errors import TrainingError
from autolrs_cli.exit_codes import RESUMABLE, EndCause
from autolrs_cli.experiments.launchers.contract import Launched, Launcher
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import SweepFiles, folders_of
from autolrs_cli.experiments.launchers.run_process import KILLED_AT
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.records.journal import Record, read_journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.records.run_end import cause_of

POLL_SECONDS = 0.25
_TAIL_BYTES = 1 << 14


@dataclass(frozen=True)
class RungResult:
    """What a run of a rung is to the study."""

    loss: float | None
    """On the slice that chooses LRs, at the run's end; None: it diverged."""
    steps: int
    """Optimizer steps in its ledger, without those repeated after an interruption."""
    seconds: float
    """Likewise."""
    reason: str | None = None
    """Why there is no loss."""


@dataclass(frozen=True)
class RungRun:
    """One run of the study.

    Args:
        directory: where it lies.
        overrides: everything after `autolrs train` but its run.dir.
        averaged: whether the averaged weights decide.
        launcher: where it is made.
    """

    directory: Path
    overrides: Sequence[str]
    averaged: bool
    launcher: Launcher

    def finish(self, tick: Callable[[int], None]) -> RungResult:
        """Run it to its end, going on where an earlier process left it; what has ended is only read.

        Args:
            tick: told several times a second how many steps are made.

        Raises:
            TrainingError: if it failed for a reason other than its LRs.
            ExperimentStopped: if it was asked to stop.
        """
        outcome = self.outcome()
        if outcome is not None:
            return outcome
        code = self._train(tick)
        if code in RESUMABLE:
            raise ExperimentStopped(code)
        outcome = self.outcome()
        if outcome is None:
            raise TrainingError(
                f"Every run of a study must end by itself, but {self.directory} left with exit code {code}: "
                f"{last_words(self._log) or 'it said nothing.'} What is finished is kept; mend this and type the same "
                "command again."
            )
        return outcome

    def outcome(self) -> RungResult | None:
        """Read how it ended; None: it has not, or failed for a reason other than its LRs."""
        try:
            summary = orjson.loads(RunDirectory(self.directory).summary.read_bytes())
        except (OSError, ValueError):
            return None
        spent = [bucket for name, bucket in summary["ledger"].items() if name != "repeated"]
        steps, seconds = (sum(bucket[unit] for bucket in spent) for unit in ("steps", "seconds"))
        records = list(read_journal(RunDirectory(self.directory).journal))
        if summary["status"] == "done":
            loss = choose_loss(records, averaged=self.averaged)
            reason = None if loss is not None else "its loss on the slice that chooses LRs is not finite"
            return RungResult(loss, int(steps), seconds, reason)
        if cause_of(summary) is EndCause.DIVERGED:
            return RungResult(None, int(steps), seconds, "diverged")
        return None

    def _train(self, tick: Callable[[int], None]) -> int:
        """Run it on its launcher, or watch it there if an earlier command left it; return its exit code."""
        folder = self.directory.parent
        folder.mkdir(parents=True, exist_ok=True)
        place = self.directory.resolve()
        earlier = [each for each in self.launcher.under_way(folder) if place in each.open_places()]
        files = earlier[0] if earlier else SweepFiles.create(folder, [self._job], fail_fast=False)
        launched = self.launcher.start(None if earlier else files, earlier)
        try:
            self._wait(launched, tick)
        except BaseException:
            _stop(files, launched)
            raise
        finally:
            with self._log.open("ab") as log, suppress(OSError):
                log.write(files.log(0).read_bytes())
        ended, problem = files.ended(0), launched.problem()
        for each in folders_of(folder):
            each.discard()
        if ended is None or ended.code is None:
            lost = problem or (ended and ended.reason) or "another process works on it."
            raise TrainingError(
                f"Every run of a study must end, but {self.directory} was not seen to: {lost}"
            )
        return ended.code

    @property
    def _job(self) -> Job:
        return Job(self.directory.name, tuple(self.overrides), str(self.directory), "", "", 0, "")

    def _wait(self, launched: Launched, tick: Callable[[int], None]) -> None:
        while launched.goes_on():
            time.sleep(POLL_SECONDS)
            tick(_steps_so_far(RunDirectory(self.directory).journal))

    @property
    def _log(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.log")


def choose_loss(records: Sequence[Record], *, averaged: bool) -> float | None:
    """Return the last loss on the slice that chooses LRs; the slice that decides targets is never looked at.

    Args:
        records: of a run's journal.
        averaged: whether the averaged weights decide, else the raw ones.

    Raises:
        TrainingError: if it was never measured.
    """
    weights = "averaged" if averaged else "raw"
    found: list[Any] = [
        record["metrics"].get("loss")
        for record in records
        if record["event"] == "eval" and record["split"] == "choose" and record["weights"] == weights
    ]
    if not found:
        raise TrainingError(
            f"A run must measure the slice that chooses LRs ({weights} weights) at its end, but its journal has no "
            "such event. It was made by another version of autolrs: begin a new study."
        )
    loss = found[-1]
    return float(loss) if loss is not None and math.isfinite(loss) else None


def _steps_so_far(journal: Path) -> int:
    """Return the steps of the last whole record of a journal that grows."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, journal.stat().st_size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
        return next((int(orjson.loads(line)["step"]) for line in reversed(lines[:-1]) if line), 0)
    except (OSError, ValueError, KeyError):
        return 0


def _stop(files: SweepFiles, launched: Launched) -> None:
    """Let a run stop cleanly; a second Ctrl-C ends it at once."""
    times = 1
    files.ask_to_stop(signal.SIGTERM.name)
    launched.stop(times)
    while launched.goes_on():
        try:
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            times = KILLED_AT
            files.ask_to_stop(signal.SIGTERM.name, times)
            launched.stop(times)
