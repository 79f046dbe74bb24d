"""The search interval, on a logarithmic scale from 0 (lr_min) to 1 (lr_max)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LogInterval:
    """LRs between `low` and `high`, addressed by their place `unit` in [0, 1] on the log scale."""

    low: float
    high: float

    def unit(self, lr: float) -> float:
        """Return the place of `lr`; outside [0, 1] when `lr` lies outside the interval."""
        return math.log(lr / self.low) / math.log(self.high / self.low)

    def lr(self, unit: float) -> float:
        """Return the LR at `unit`, never outside the interval by a rounding error."""
        lr = self.low * math.exp(unit * math.log(self.high / self.low))
        return min(max(lr, self.low), self.high)
