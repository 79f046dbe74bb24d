"""The axis on which a metric is drawn, so that its good end is not squeezed into a corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autolrs_cli.contracts import Direction
from autolrs_cli.reports.compare.run_record import FloatArray

# A share (accuracy) that came this close to 1 is drawn as what is left of it.
NEARLY_ONE = 0.9


@dataclass(frozen=True)
class MetricAxis:
    """How values of a metric become positions."""

    label: str
    log: bool
    from_one: bool
    """Whether 1 - value is drawn."""
    floor: float
    """Smallest position on a log axis: a share of exactly 1 lies there."""

    def at(self, values: FloatArray) -> FloatArray:
        """Return positions of `values`."""
        positions = 1 - values if self.from_one else values
        return np.maximum(positions, self.floor) if self.log else positions

    def grid(self, start: float, end: float, count: int) -> FloatArray:
        """Return `count` values from `start` to `end`, both included, evenly spread on the axis."""
        if not self.log:
            return np.linspace(start, end, count)
        ends = self.at(np.array([start, end]))
        inner = np.geomspace(ends[0], ends[1], count)
        values = 1 - inner if self.from_one else inner
        values[[0, -1]] = start, end
        return values


def metric_axis(metric: str, direction: Direction, values: FloatArray) -> MetricAxis:
    """Return the axis for `metric`, given every value that is to be drawn."""
    finite = values[np.isfinite(values)]
    share = direction == "max" and len(finite) > 0 and finite.min() >= 0 and NEARLY_ONE < finite.max() <= 1
    left = 1 - finite if share else finite
    positive = left[left > 0]
    if share and len(positive):
        return MetricAxis(f"1 - {metric}", log=True, from_one=True, floor=float(positive.min()) / 2)
    if direction == "min" and len(finite) and len(positive) == len(finite):
        return MetricAxis(metric, log=True, from_one=False, floor=float(positive.min()) / 2)
    return MetricAxis(metric, log=False, from_one=False, floor=0.0)
