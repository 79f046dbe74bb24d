"""Speedup as a function of the target: one target, fixed beforehand, may be a lucky one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolrs_cli.reports.compare.outcomes import Racer
from autolrs_cli.reports.compare.run_record import FloatArray
from autolrs_cli.reports.compare.speedups import Speedup, speedup
from autolrs_cli.reports.compare.time_to_target import Goal
from autolrs_cli.reports.figures.metric_axis import metric_axis

TARGETS = 60


@dataclass(frozen=True)
class TargetCurve:
    """One arm against the baseline, at every target of a grid; arrays of one length."""

    arm: str
    targets: FloatArray
    """From the easiest to the hardest."""
    training: FloatArray
    """Median ratio in kept steps; NaN where more than half of the arm's runs miss, or no pair is left."""
    net: FloatArray
    arm_misses: FloatArray
    """Share of the common seeds on which the arm misses."""
    baseline_misses: FloatArray
    upper_bound: NDArray[np.bool_]
    """Where the baseline's shortest length suffices on half of the seeds or more: a shorter one might, too."""


def target_curves(
    arms: Mapping[str, Mapping[int, Racer]], baseline: str, targets: FloatArray
) -> list[TargetCurve]:
    """Return the curve of every arm but the baseline.

    Args:
        arms: arm -> seed -> what races.
        baseline: an arm.
        targets: values of the metric, from the easiest to the hardest.
    """
    base = [{seed: racer.race(target) for seed, racer in arms[baseline].items()} for target in targets]
    curves = []
    for name, own in arms.items():
        if name == baseline:
            continue
        points = [
            speedup(
                name, baseline, {seed: racer.race(t) for seed, racer in own.items()}, at_t, intervals=False
            )
            for t, at_t in zip(targets, base, strict=True)
        ]
        curves.append(_curve(name, targets, points))
    return curves


def _curve(name: str, targets: FloatArray, points: Sequence[Speedup]) -> TargetCurve:
    seeds = max(len(points[0].pairs), 1) if points else 1
    return TargetCurve(
        name,
        targets,
        np.array([_median(p, "training") for p in points]),
        np.array([_median(p, "net") for p in points]),
        np.array([p.arm_misses / seeds for p in points]),
        np.array([p.baseline_misses / seeds for p in points]),
        np.array([sum(pair.baseline.at_shortest for pair in p.pairs) * 2 >= seeds for p in points]),
    )


def _median(point: Speedup, which: str) -> float:
    found = getattr(point, which)
    return float("nan") if found is None or point.mostly_misses else float(found.median)


def target_grid(arms: Mapping[str, Mapping[int, Racer]], goal: Goal) -> FloatArray:
    """Return targets from what the median run's first evaluation passes to what the best of all just reaches."""
    runs = [values for own in arms.values() for racer in own.values() for values in _finite(racer)]
    if not runs:
        return np.array([])
    axis = metric_axis(goal.metric, goal.direction, np.concatenate(runs))
    best = max if goal.direction == "max" else min
    start = float(np.median([values[0] for values in runs]))
    return axis.grid(start, float(best(best(values) for values in runs)), TARGETS)


def _finite(racer: Racer) -> list[FloatArray]:
    curves = [curve.values[np.isfinite(curve.values)] for _, curve in racer.runs]
    return [values for values in curves if len(values)]
