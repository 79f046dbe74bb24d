"""When a run's curve reaches a target, for any number of targets at once.

The rule is that of `training.target.TargetWatch` (two consecutive evaluations at or past the target, or the last one
alone), which judges runs as they go; the tests hold the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autolrs_cli.contracts import Direction, WeightsKind
from autolrs_cli.reports.compare.run_record import FloatArray, RunRecord, TargetEvaluation


@dataclass(frozen=True)
class Goal:
    """The quality that is raced for."""

    metric: str
    direction: Direction
    value: float
    source: Literal["configuration", "command line", "baseline"]
    """`baseline`: none was fixed beforehand, so the baseline's median final value stands in."""

    @property
    def fixed(self) -> bool:
        """Whether it was fixed beforehand, as a claim needs it."""
        return self.source == "configuration"

    def __str__(self) -> str:
        relation = ">=" if self.direction == "max" else "<="
        return f"{self.metric} {relation} {self.value:.6g}"


@dataclass(frozen=True)
class MetricCurve:
    """A metric over a run: arrays of one length, ascending in `step`."""

    step: NDArray[np.int64]
    total_steps: NDArray[np.int64]
    t: FloatArray
    values: FloatArray
    """NaN where the metric was not finite."""
    weights: WeightsKind
    sign: int
    """1 where more is better, -1 where less is."""
    ended: bool
    """Whether the last value is that of the planned end, so that it counts alone."""

    @cached_property
    def _best_so_far(self) -> FloatArray:
        """The strictest target, times `sign`, that is reached at each evaluation or before."""
        better = np.where(np.isnan(self.values), -np.inf, self.values * self.sign)
        pairs = np.minimum(better[:-1], better[1:])
        last = better[-1:] if self.ended else np.full(better[-1:].shape, -np.inf)
        return np.maximum.accumulate(np.concatenate([pairs, last]))

    def reached_at(self, target: float) -> int | None:
        """Return the index of the evaluation at which `target` counts as reached; None: never."""
        index = int(np.searchsorted(self._best_so_far, target * self.sign))
        return index if index < len(self.values) else None


def metric_curve(run: RunRecord, metric: str, direction: Direction) -> MetricCurve:
    """Return the curve of `metric` that decides about `run`: one kind of weights throughout, never a mixture.

    Under weight averaging the averaged weights decide, where they were measured. Otherwise the raw weights do; for a
    metric that only the mean of the last checkpoints is measured with (BLEU), that mean does.
    """
    with_metric = [e for e in run.evaluations if metric in e.metrics]
    kinds: tuple[WeightsKind, WeightsKind] = ("averaged", "raw") if averages(run) else ("raw", "averaged")
    kind = next((kind for kind in kinds if any(e.weights == kind for e in with_metric)), kinds[0])
    chosen: dict[int, TargetEvaluation] = {e.step: e for e in with_metric if e.weights == kind}
    rows = [chosen[step] for step in sorted(chosen)]
    return MetricCurve(
        np.array([e.step for e in rows], dtype=np.int64),
        np.array([e.total_steps for e in rows], dtype=np.int64),
        np.array([e.t for e in rows], dtype=np.float64),
        np.array([e.metrics[metric] for e in rows], dtype=np.float64),
        kind,
        1 if direction == "max" else -1,
        bool(rows) and rows[-1].step == run.max_steps,
    )


def averages(run: RunRecord) -> bool:
    """Return whether the run keeps averaged weights beside the raw ones."""
    node = run.config.get("average") or {}
    return str(node.get("name", "none")) != "none"
