"""Cyclic schedules whose last cycle ends with the run, as tuned ones do: each length of them is a run of its own.

Nothing in their settings names the run's end, so it is found from the numbers: the period is the one with which a whole
number of cycles fills the run after its warm-up, as tuning makes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autolrs_cli.schedules.lengths import schedule_node


@dataclass(frozen=True)
class FilledCycles:
    """What stays the same when such a run is made shorter or longer."""

    key: str
    """The schedule's setting that holds the period, in steps."""
    cycles: int
    growth: int = 1
    """How many times longer each cycle is than the one before."""
    parts: int = 1
    """Periods in a cycle."""
    warmup_steps: int = 0
    continuous: bool = False
    """Whether the LR ends a cycle where the next begins: the nearest whole period is taken, else the next longer."""

    def period(self, steps: int) -> int:
        """Return the period, in steps, with which the cycles fill a run of `steps`."""
        periods: int = self.parts * sum(self.growth**cycle for cycle in range(self.cycles))
        exact = (steps - self.warmup_steps) / periods
        return max(1, round(exact) if self.continuous else math.ceil(exact))


def filled_cycles(config: Mapping[str, Any]) -> FilledCycles | None:
    """Return the cycles of a run whose last one ends with it; None if its schedule is another one.

    Args:
        config: resolved, of a run.
    """
    node, steps = schedule_node(config), config["run"]["max_steps"]
    kind = str(node.get("_target_", "")).rpartition(".")[2]
    growth: Any
    warmup: Any
    if kind == "Cyclical":
        key, growth, parts, warmup = "half_period_steps", 1, 2, 0
    elif kind == "WarmRestarts":
        key, growth, parts, warmup = (
            "first_period_steps",
            node.get("period_factor"),
            1,
            node.get("warmup_steps"),
        )
    else:
        return None
    if not all(isinstance(value, int) for value in (steps, node.get(key), growth, warmup)):
        return None  # a journal that somebody wrote by hand
    for cycles in range(1, steps + 1):
        found = FilledCycles(key, cycles, growth or 1, parts, warmup or 0, continuous=kind == "Cyclical")
        period = found.period(steps)
        if period <= node[key]:
            return found if period == node[key] else None
    return None
