"""How far the runs of a sweep are and how long the rest will take, from the ends of their journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.run_status import RunState

# Bytes at the end of a journal in which there is a whole line: the longest, a surrogate's, has about 4 KiB.
TAIL_BYTES = 1 << 16
Phase = Literal["to come", "running", "ended"]


@dataclass
class Progress:
    """One run, as far as it is known."""

    job: Job
    place: tuple[SweepFiles, int] | None
    """The command that starts it, and its number there; None: it is not started."""
    phase: Phase
    steps: int = 0
    """Optimizer steps made."""
    seconds: float = 0.0
    """Of work on them."""
    record: dict[str, Any] = field(default_factory=dict)
    """The last one of the journal."""
    code: int | None = None
    """The exit code of its process, once that has ended."""
    reason: str = ""
    """Why nothing is known of its end, where its launcher has lost it."""
    note: str = ""
    """What its launcher has to say of it while it waits."""


class SweepProgress:
    """All runs of a sweep.

    Args:
        jobs: all of them.
        states: what had become of each before this command.
        commands: whose runs are watched: this one, and earlier ones that were left.
    """

    def __init__(
        self, jobs: Sequence[Job], states: Sequence[RunState], commands: Sequence[SweepFiles]
    ) -> None:
        started = {place: (files, number) for files in commands for place, number in files.places().items()}
        places = [started.get(Path(job.root).resolve()) for job in jobs]
        self.runs = [
            Progress(job, place, "ended" if place is None else "to come")
            for job, place in zip(jobs, places, strict=True)
        ]
        for run, state in zip(self.runs, states, strict=True):
            if state.summary is not None:
                run.steps = state.summary["total_steps"]
                run.seconds = sum(each["seconds"] for each in state.summary["ledger"].values())

    def update(self, notes: Mapping[str, str] | None = None) -> None:
        """Look at the journals of the runs that are under way.

        Args:
            notes: what the launcher has to say of runs that wait, by run directory, resolved.
        """
        for run in self.runs:
            if run.place is None or run.phase == "ended":
                continue
            files, number = run.place
            ended = files.ended(number)
            run.note = (notes or {}).get(str(Path(run.job.root).resolve()), "")
            if ended is not None:
                run.phase, run.code, run.reason = "ended", ended.code, ended.reason
            else:
                run.phase = "running" if files.log(number).exists() and not run.note else "to come"
            if run.phase != "to come":
                self._read(run)

    def _read(self, run: Progress) -> None:
        record = last_record(Path(run.job.root, "journal.jsonl"))
        if record is not None:
            run.record, run.steps, run.seconds = record, record["total_steps"], record["t"]

    @property
    def share(self) -> float:
        """The share of all optimizer steps that is made, 0 to 1."""
        planned = sum(run.job.steps for run in self.runs)
        return 1.0 - sum(map(_left, self.runs)) / planned if planned else 1.0

    def seconds_left(self) -> float | None:
        """Return how long the rest will take with as many runs at once as there are now; None: not known yet.

        A step is taken to cost what it cost on average in runs that differ in the seed only, else in all runs.
        """
        left = [run for run in self.runs if run.phase != "ended"]
        overall = _cost(self.runs)
        if not left or overall is None:
            return None
        costs = {
            kind: _cost(run for run in self.runs if run.job.kind == kind)
            for kind in {r.job.kind for r in left}
        }
        work = [_left(run) * (costs[run.job.kind] or overall) for run in left]
        at_once = max(1, sum(run.phase == "running" for run in left))
        # The longest of the runs cannot be split.
        return max(sum(work) / at_once, max(work))


def last_record(journal: Path) -> dict[str, Any] | None:
    """Return the last whole record of a journal that may be growing; None: there is none."""
    with suppress(OSError, ValueError, IndexError), journal.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        whole = file.read().rpartition(b"\n")[0]
        record: dict[str, Any] = orjson.loads(whole.rpartition(b"\n")[2])
        return record
    return None


def _left(run: Progress) -> int:
    return 0 if run.phase == "ended" else max(0, run.job.steps - run.steps)


def _cost(runs: Iterable[Progress]) -> float | None:
    """Return the seconds a step of all runs together; None: they have made none."""
    begun = [run for run in runs if run.steps]
    return sum(run.seconds for run in begun) / sum(run.steps for run in begun) if begun else None
