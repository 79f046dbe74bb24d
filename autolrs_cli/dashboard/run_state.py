"""What a screen needs to know of a run: plain frozen data, made by `reduce` from the journal's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Record = Mapping[str, Any]
# Points kept of a curve; when there are more, every second one goes and the spacing doubles.
MAX_POINTS = 256


def search_steps(stage: Mapping[str, Any]) -> int:
    """Return the steps of a stage's trials, at most, from its record."""
    return int(stage.get("search_steps") or stage["num_trials"] * stage["trial_steps"])


@dataclass(frozen=True)
class TrialRow:
    """A trial of the current stage."""

    index: int
    lr: float
    status: str = "running"
    step: int = 0
    loss: float | None = None
    predicted: float | None = None
    std: float | None = None
    flags: tuple[str, ...] = ()
    best: bool = False
    reason: str | None = None
    """Why it diverged or was stopped, with the measured numbers."""
    failure: str | None = None
    """How it diverged, in one word."""
    end_lr: float | None = None
    """Of a ramp."""
    steps: int | None = None
    """How many are planned."""


@dataclass(frozen=True)
class ChosenRow:
    """A stage whose LR is chosen."""

    stage: int
    first_step: int
    lr: float
    predicted: float | None
    flags: tuple[str, ...]
    trial: int | None = None
    account: str = ""
    """Why it was chosen, in the search's words."""


@dataclass(frozen=True)
class Tried:
    """An LR that some stage tried, for the chart over the whole run."""

    step: int
    lr: float
    status: str


@dataclass(frozen=True)
class Points:
    """A bounded series: (step, value), thinned evenly as it grows."""

    items: tuple[tuple[int, float], ...] = ()
    every: int = 1
    seen: int = 0

    def add(self, step: int, value: float) -> Points:
        """Return the series with one more point."""
        if self.seen % self.every:
            return replace(self, seen=self.seen + 1)
        items, every = (*self.items, (step, value)), self.every
        if len(items) > MAX_POINTS:
            items, every = items[::2], every * 2
        return Points(items, every, self.seen + 1)

    def until(self, step: int) -> Points:
        """Return the series without the points after `step`."""
        items = tuple(item for item in self.items if item[0] <= step)
        return Points(items, self.every, len(items) * self.every)


@dataclass(frozen=True)
class HeldOut:
    """The latest measures of the slice that decides targets, with one kind of weights, and the loss over steps."""

    step: int
    metrics: Mapping[str, float | None]
    losses: Points = Points()


@dataclass(frozen=True)
class Machine:
    """Memory in bytes, sampled by whoever draws."""

    process: int
    host_used: int
    host_total: int
    device_used: int | None = None
    device_total: int | None = None


@dataclass(frozen=True)
class State:
    """A run as its journal tells it."""

    description: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    t: float = 0.0
    pace_from: tuple[float, int] | None = None
    """Time and total steps at the first sign of training: what the time left is measured from."""
    recent: tuple[tuple[float, int], ...] = ()
    """Time and total steps at moments of the last half minute: what the pace is measured from."""
    step: int = 0
    total_steps: int = 0
    phase: str | None = None
    stage: Record | None = None
    """The `stage_started` record of the current stage."""
    trials: tuple[TrialRow, ...] = ()
    training: bool = False
    """Kept steps are being made (or none has been made yet and no trial is on)."""
    searching: bool = False
    """A stage is being searched."""
    search_seconds: float = 0.0
    surrogate: Record | None = None
    """The search's latest belief about the current stage."""
    chosen: tuple[ChosenRow, ...] = ()
    tried: tuple[Tried, ...] = ()
    lr: float | None = None
    loss: float | None = None
    """Training loss of the latest logged step."""
    examples: tuple[int, int] = (0, 0)
    """Kept steps, and the examples seen in them, at the latest logged step."""
    extra_steps: int = 0
    """Steps that the plan did not know of: repeated ones; negative where failures saved some."""
    losses: Points = Points()
    lrs: Points = Points()
    held_out: Mapping[str, HeldOut] = field(default_factory=dict)
    """By kind of weights: `raw`, `averaged`."""
    target_reached: Record | None = None
    warnings: tuple[str, ...] = ()
    notice: str | None = None
    """The latest thing out of the ordinary, in words."""
    ended: str | None = None
    """Status once the run is over: done, failed, interrupted."""
    reason: str | None = None
    """Why it failed or was interrupted."""
    abandoned: bool = False
    """The journal has no end, but no process works on the run any more."""
    directory: str | None = None
    machine: Machine | None = None

    @property
    def planned_steps(self) -> int:
        """All optimizer steps, the search's included."""
        return int(self.plan.get("max_steps", 0)) + int(self.plan.get("search_steps", 0)) + self.extra_steps

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end, at the mean pace so far; None before there is a pace."""
        return self._seconds_for(self.planned_steps - self.total_steps)

    @property
    def stage_steps(self) -> tuple[int, int]:
        """Optimizer steps made and planned in the current stage, its trials included."""
        if self.stage is None:
            return (0, 0)
        trials = search_steps(self.stage)
        if not self.searching:
            trials = sum(trial.step for trial in self.trials)
            return trials + self.step - self.stage["first_step"], trials + self.stage["steps"]
        return min(sum(trial.step for trial in self.trials), trials), trials + self.stage["steps"]

    @property
    def stage_seconds_left(self) -> float | None:
        """Expected seconds to the end of the stage."""
        done, planned = self.stage_steps
        return self._seconds_for(planned - done)

    @property
    def steps_per_second(self) -> float | None:
        """Optimizer steps per second of the last half minute, everything else included."""
        if len(self.recent) < 2 or self.recent[-1][0] <= self.recent[0][0]:
            return None
        (t0, steps0), (t1, steps1) = self.recent[0], self.recent[-1]
        return (steps1 - steps0) / (t1 - t0)

    @property
    def is_searched(self) -> bool:
        """Whether LRs are searched in this run."""
        return bool(self.plan.get("search_steps"))

    @property
    def num_stages(self) -> int | None:
        """Searched stages in the plan; None: the search makes them up as it goes."""
        return sum(segment["kind"] == "stage" for segment in self.plan.get("segments", ())) or None

    @property
    def over(self) -> bool:
        """Whether nothing will happen any more, unless someone resumes the run."""
        return self.ended is not None or self.abandoned

    def _seconds_for(self, steps: int) -> float | None:
        if self.pace_from is None or self.total_steps <= self.pace_from[1]:
            return None
        pace = (self.t - self.pace_from[0]) / (self.total_steps - self.pace_from[1])
        return max(0.0, pace * steps)


def evolve(state: State, **changes: Any) -> State:
    """Return `state` with some fields changed, as `dataclasses.replace` does.

    It is called for every record, and copies the fields at once: 2 microseconds instead of 15.
    """
    new = object.__new__(State)
    new.__dict__.update(state.__dict__)
    new.__dict__.update(changes)
    return new
