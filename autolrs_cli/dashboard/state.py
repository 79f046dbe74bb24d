"""`reduce(state, record)`: all that a screen needs, from the journal's records and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Record = Mapping[str, Any]
# Points kept of the loss curve; when there are more, every second one goes and the spacing doubles.
MAX_POINTS = 256


@dataclass(frozen=True)
class TrialRow:
    """A trial of the current stage."""

    index: int
    lr: float
    status: str = "running"
    step: int = 0
    loss: float | None = None
    predicted: float | None = None
    flags: tuple[str, ...] = ()
    best: bool = False


@dataclass(frozen=True)
class ChosenRow:
    """A stage whose LR is chosen."""

    stage: int
    first_step: int
    lr: float
    predicted: float | None
    flags: tuple[str, ...]


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


@dataclass(frozen=True)
class State:
    """A run as its journal tells it."""

    description: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    t: float = 0.0
    pace_from: tuple[float, int] | None = None
    """Time and total steps at the first sign of training: what the pace is measured from."""
    step: int = 0
    total_steps: int = 0
    phase: str | None = None
    stage: Mapping[str, Any] | None = None
    """The `stage_started` record of the current stage."""
    trials: tuple[TrialRow, ...] = ()
    training: bool = False
    """Kept steps are being made (or none has been made yet and no trial is on)."""
    chosen: tuple[ChosenRow, ...] = ()
    lr: float | None = None
    loss: float | None = None
    """Training loss of the latest logged step."""
    unspent_steps: int = 0
    """Planned search steps that failures saved."""
    losses: Points = Points()
    lrs: Points = Points()
    evals: tuple[Mapping[str, Any], ...] = ()
    """The latest two `eval` records of the target slice."""
    target_reached: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    ended: str | None = None
    """Status or reason once the run is over."""

    @property
    def planned_steps(self) -> int:
        """All optimizer steps, the search's included."""
        planned = int(self.plan.get("max_steps", 0)) + int(self.plan.get("search_steps", 0))
        return planned - self.unspent_steps

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end, at the mean pace so far; None before there is a pace."""
        if self.pace_from is None or self.total_steps <= self.pace_from[1]:
            return None
        pace = (self.t - self.pace_from[0]) / (self.total_steps - self.pace_from[1])
        return max(0.0, pace * (self.planned_steps - self.total_steps))

    @property
    def num_stages(self) -> int:
        """Searched stages in the plan."""
        return sum(segment["kind"] == "stage" for segment in self.plan.get("segments", ()))


def reduce(state: State, record: Record) -> State:
    """Return the state after `record`; unknown events only move the clock."""
    state = replace(
        state,
        t=record["t"],
        step=record["step"],
        total_steps=record["total_steps"],
        phase=record.get("phase"),
    )
    handler = _HANDLERS.get(record["event"])
    return handler(state, record) if handler else state


def _run_started(state: State, record: Record) -> State:
    return replace(state, description=record["description"], plan=record["plan"])


def _step(state: State, record: Record) -> State:
    losses = state.losses
    if record["loss"] is not None:
        losses = losses.add(record["step"], record["loss"])
    lrs = state.lrs.add(record["step"], record["lr"])
    return _paced(replace(state, lr=record["lr"], loss=record["loss"], losses=losses, lrs=lrs, training=True))


def _stage_started(state: State, record: Record) -> State:
    return _paced(replace(state, stage=record, trials=(), training=False))


def _trial_started(state: State, record: Record) -> State:
    return replace(state, trials=(*state.trials, TrialRow(record["trial"], record["lr"])), training=False)


def _trial_step(state: State, record: Record) -> State:
    return _update_trial(state, record, step=record["trial_step"], loss=record["loss"])


def _trial_finished(state: State, record: Record) -> State:
    if record["best"]:
        state = replace(state, trials=tuple(replace(row, best=False) for row in state.trials))
    return _update_trial(
        state,
        record,
        status=record["status"],
        step=record["steps"],
        predicted=record["predicted"],
        flags=tuple(record["flags"]),
        best=record["best"],
    )


def _lr_chosen(state: State, record: Record) -> State:
    stage = state.stage or {"num_trials": 0, "trial_steps": 0}
    planned = stage["num_trials"] * stage["trial_steps"]
    spared = planned - sum(trial.step for trial in state.trials)
    state = replace(state, unspent_steps=state.unspent_steps + max(0, spared))
    row = ChosenRow(
        record["stage"], record["step"], record["lr"], record["predicted"], tuple(record["flags"])
    )
    return replace(state, chosen=(*state.chosen, row), lr=record["lr"], training=True)


def _eval(state: State, record: Record) -> State:
    if record["split"] != "target":
        return state
    last = state.evals[-1] if state.evals else None
    if last is not None and last["step"] == record["step"]:  # a full evaluation adds to the one before it
        merged = {**record, "metrics": {**last["metrics"], **record["metrics"]}}
        return replace(state, evals=(*state.evals[:-1], merged))
    return replace(state, evals=(*state.evals[-1:], record))


def _target_reached(state: State, record: Record) -> State:
    return replace(state, target_reached=record)


def _warned(state: State, record: Record) -> State:
    return replace(state, warnings=(*state.warnings, record["message"]))


def _resumed(state: State, _: Record) -> State:
    return replace(state, ended=None)


def _interrupted(state: State, record: Record) -> State:
    return replace(state, ended=f"interrupted ({record['reason']})")


def _run_finished(state: State, record: Record) -> State:
    return replace(state, ended=record["status"])


def _paced(state: State) -> State:
    return state if state.pace_from else replace(state, pace_from=(state.t, state.total_steps))


def _update_trial(state: State, record: Record, **changes: Any) -> State:
    rows = tuple(replace(row, **changes) if row.index == record["trial"] else row for row in state.trials)
    return replace(state, trials=rows)


_HANDLERS = {
    "run_started": _run_started,
    "step": _step,
    "stage_started": _stage_started,
    "trial_started": _trial_started,
    "trial_step": _trial_step,
    "trial_finished": _trial_finished,
    "lr_chosen": _lr_chosen,
    "eval": _eval,
    "target_reached": _target_reached,
    "warned": _warned,
    "interrupted": _interrupted,
    "resumed": _resumed,
    "run_finished": _run_finished,
}
