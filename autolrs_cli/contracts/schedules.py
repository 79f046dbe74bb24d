"""Schedules: the LR of each step, and what the length of the run means to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Cycle:
    """Which settings of a cyclic schedule its cycles are made of, by name."""

    period: str
    """In steps."""
    growth: str | None = None
    """How many times longer each cycle is than the one before; None: all are equally long."""
    warmup: str | None = None
    """Steps before the first cycle; None: there are none."""
    parts: int = 1
    """Periods in a cycle."""
    continuous: bool = False
    """Whether the LR ends a cycle where the next one begins."""


@dataclass(frozen=True)
class FilledCycles:
    """A whole number of cycles fills the run: what stays the same when it is made shorter or longer."""

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


@dataclass(frozen=True)
class RunLength:
    """What a run's length means to its schedule.

    Unless it decays or its cycles fill the run, a shorter run is the beginning of a longer one.
    """

    decays: bool
    """Whether the LR decays over the run, so that each length of it is a run of its own."""
    cycles: FilledCycles | None
    """The cycles that fill the run, if they do: then too each length is a run of its own."""


class Schedule(Protocol):
    """A pure function from the 0-based step to the LR of that step.

    Two class attributes say what the run's length means to it. One that has neither is taken to train a shorter run as
    the beginning of a longer one.

    - `decays: ClassVar[bool]`: whether the LR decays over the run.
    - `cycle: ClassVar[Cycle]`: what its cycles are made of, if it has cycles.
    """

    def lr(self, step: int) -> float:
        """Return the base LR used by optimizer step `step`."""

    def problems(self, at: str) -> list[str]:
        """Check the settings; return every problem, each naming its key under the node `at`, and the way out."""


@runtime_checkable
class AdaptiveSchedule(Schedule, Protocol):
    """A schedule that also depends on how the run goes."""

    def observe(self, step: int, loss: float) -> None:
        """Take in the loss of the slice that chooses LRs after `step` kept steps."""

    def state_dict(self) -> dict[str, Any]:
        """Return what was observed, as JSON."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
