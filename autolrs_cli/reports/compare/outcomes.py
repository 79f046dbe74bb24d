"""Who reached the target when: one outcome for each arm and seed, one pair for each seed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from autolrs_cli.reports.compare.arms import Arm
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.time_to_target import Goal, MetricCurve, metric_curve
from autolrs_cli.reports.compare.tuning_cost import tuning_cost

Cost = Literal["step", "total_steps", "seconds", "all_in", "all_in_shared"]
"""What is counted: kept steps; all steps; seconds; all steps and those of the tuning, for a person who trains once, or
shared among the compared seeds."""


@dataclass(frozen=True)
class TargetOutcome:
    """What it took one arm on one seed to reach a target; if it missed, its full length."""

    reached: bool
    step: float
    """Kept steps: the search left out."""
    total_steps: float
    """All optimizer steps: the search, and work repeated after interruptions, included."""
    seconds: float
    """Everything included."""
    length: int
    """`run.max_steps` of the run that decided."""
    path: Path
    at_shortest: bool = False
    """Whether a decayed schedule reached it at its shortest length: a still shorter run might reach it, too."""
    missed: TargetOutcome | None = None
    """The next shorter run of a decayed schedule, which missed: what it needs lies between the two lengths."""
    tuning_steps: int | None = None
    """Optimizer steps that finding the arm's settings took; None: unknown."""

    def cost(self, kind: Cost, seeds: int = 1) -> float:
        """Return the steps or seconds; steps of tuning that are unknown count as none.

        Args:
            kind: what is counted.
            seeds: how many share the tuning.
        """
        if kind in ("all_in", "all_in_shared"):
            return self.total_steps + (self.tuning_steps or 0) / (seeds if kind == "all_in_shared" else 1)
        return float(getattr(self, kind))


def median_cost(outcomes: Collection[TargetOutcome], kind: Cost) -> float | None:
    """Return the median steps or seconds to the target, a miss being longer than all; None if half of them miss."""
    costs = [outcome.cost(kind) if outcome.reached else math.inf for outcome in outcomes]
    found = median(costs) if costs else math.inf
    return found if math.isfinite(found) else None


@dataclass(frozen=True)
class Racer:
    """An arm on one seed, with the curve of each of its lengths, shortest first."""

    decays: bool
    runs: tuple[tuple[RunRecord, MetricCurve], ...]
    tuning_steps: int | None = None
    """That finding the arm's settings took; None: unknown."""

    def race(self, target: float) -> TargetOutcome:
        """Return when `target` is reached, with what tuning took."""
        found = self._race(target)
        missed = found.missed and replace(found.missed, tuning_steps=self.tuning_steps)
        return replace(found, missed=missed, tuning_steps=self.tuning_steps)

    def _race(self, target: float) -> TargetOutcome:
        """Return when `target` is reached.

        A decayed schedule needs the shortest length whose run reaches it, and needs that run to its end (method
        rule 5). Any other needs the steps until its first sight of the target, in whichever of its runs that is soonest
        (cycles that are fitted to the run have one for each length).
        """
        seen = [
            (number, run, curve, index)
            for number, (run, curve) in enumerate(self.runs)
            # One that diverged did not decay to its end, whatever it saw on the way.
            if (index := curve.reached_at(target)) is not None and (run.done or not self.decays)
        ]
        if not seen:
            return _missed(*self.runs[-1])
        if self.decays:
            number, run, curve, _ = seen[0]
            found = _at(run, curve, -1, reached=True)
            if number == 0:
                return replace(found, at_shortest=True)
            return replace(found, missed=_missed(*self.runs[number - 1]))
        _, run, curve, index = min(seen, key=lambda each: each[2].step[each[3]])
        return _at(run, curve, index, reached=True)


def racers(arm: Arm, goal: Goal) -> dict[int, Racer]:
    """Return seed -> what races for `goal` in `arm`."""
    tuning = tuning_cost(arm).steps
    return {
        seed: Racer(
            arm.decays, tuple((run, metric_curve(run, goal.metric, goal.direction)) for run in runs), tuning
        )
        for seed, runs in arm.runs.items()
    }


def _missed(run: RunRecord, curve: MetricCurve) -> TargetOutcome:
    at_end = run.done and len(curve.step)
    return _at(run, curve, -1, reached=False) if at_end else _whole_length(run)


def _at(run: RunRecord, curve: MetricCurve, index: int, *, reached: bool) -> TargetOutcome:
    return TargetOutcome(
        reached,
        float(curve.step[index]),
        float(curve.total_steps[index]),
        float(curve.t[index]),
        run.max_steps,
        run.path,
    )


def _whole_length(run: RunRecord) -> TargetOutcome:
    """Return the miss of a run without a last evaluation: its full length, and at least what it made."""
    end = run.ended or {}
    planned = run.max_steps + int(run.started.get("plan", {}).get("search_steps") or 0)
    return TargetOutcome(
        False,
        float(run.max_steps),
        float(max(planned, end.get("total_steps", 0))),
        float(end.get("t", 0.0)),
        run.max_steps,
        run.path,
    )
