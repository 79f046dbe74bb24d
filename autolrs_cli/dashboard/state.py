"""`reduce(state, record)`: all that a screen needs, from the journal's records and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autolrs_cli.dashboard import notices
from autolrs_cli.dashboard.run_state import (
    MAX_POINTS,
    ChosenRow,
    HeldOut,
    Points,
    Record,
    State,
    TrialRow,
    Tried,
    evolve,
    search_steps,
)

__all__ = ["MAX_POINTS", "Points", "Record", "State", "reduce"]

# The pace is that of this long, in moments at least so far apart (seconds).
RECENT_SECONDS, RECENT_EVERY = 30.0, 1.0
MAX_TRIED = 512
MAX_WARNINGS = 20


def reduce(state: State, record: Record) -> State:
    """Return the state after `record`; unknown events only move the clock."""
    t = record["t"]
    searched = state.search_seconds + (max(0.0, t - state.t) if state.searching else 0.0)
    state = evolve(
        state,
        t=t,
        step=record["step"],
        total_steps=record["total_steps"],
        phase=record.get("phase"),
        search_seconds=searched,
    )
    handler = _HANDLERS.get(record["event"])
    return handler(state, record) if handler else state


def _run_started(state: State, record: Record) -> State:
    return evolve(state, description=record["description"], plan=record["plan"])


def _step(state: State, record: Record) -> State:
    losses = state.losses
    if record["loss"] is not None:
        losses = losses.add(record["step"], record["loss"])
    return _paced(
        evolve(
            state,
            lr=record["lr"],
            loss=record["loss"],
            losses=losses,
            lrs=state.lrs.add(record["step"], record["lr"]),
            examples=(record["step"], record["examples"]),
            training=True,
        )
    )


def _stage_started(state: State, record: Record) -> State:
    again = state.stage is not None and state.stage["stage"] == record["stage"]
    planned = search_steps(record)
    return _paced(
        evolve(
            state,
            stage=record,
            trials=(),
            surrogate=None,
            training=False,
            searching=True,
            notice=state.notice if again else None,
            extra_steps=state.extra_steps + (planned if again else 0),
        )
    )


def _surrogate(state: State, record: Record) -> State:
    return evolve(state, surrogate=record)


def _trial_started(state: State, record: Record) -> State:
    row = TrialRow(record["trial"], record["lr"], end_lr=record.get("end_lr"), steps=record.get("steps"))
    # A trial that an interruption cut off is begun again.
    earlier = tuple(trial for trial in state.trials if trial.index != row.index)
    return evolve(state, trials=(*earlier, row), training=False, searching=True)


def _trial_step(state: State, record: Record) -> State:
    return _paced(_update_trial(state, record, step=record["trial_step"], loss=record["loss"]))


def _trial_finished(state: State, record: Record) -> State:
    if record["best"]:
        state = evolve(state, trials=tuple(replace(row, best=False) for row in state.trials))
    tried = (Tried(record["step"], record["lr"], record["status"]),) if record.get("end_lr") is None else ()
    notice = notices.diverged_trial(record) if record["status"] == "diverged" else state.notice
    return _update_trial(
        evolve(state, tried=(*state.tried, *tried)[-MAX_TRIED:], notice=notice),
        record,
        status=record["status"],
        step=record["steps"],
        predicted=record["predicted"],
        std=record["std"],
        flags=tuple(record["flags"]),
        best=record["best"],
        reason=record["reason"],
        failure=record.get("failure"),
    )


def _lr_chosen(state: State, record: Record) -> State:
    stage = state.stage or {"num_trials": 0, "trial_steps": 0}
    planned = search_steps(stage)
    spared = max(0, planned - sum(trial.step for trial in state.trials))
    spared += record.get("kept_steps", 0)  # made in a trial, and not again
    flags = tuple(record["flags"])
    row = ChosenRow(
        record["stage"],
        record["step"],
        record["lr"],
        record["predicted"],
        flags,
        record.get("chosen_trial"),
        record.get("account", ""),
    )
    return evolve(
        state,
        chosen=(*state.chosen, row),
        lr=record["lr"],
        training=True,
        searching=False,
        extra_steps=state.extra_steps - spared,
        notice=notices.all_failed(record) if "all_failed" in flags else state.notice,
    )


def _eval(state: State, record: Record) -> State:
    if record["split"] != "target":
        return state
    before = state.held_out.get(record["weights"])
    metrics, losses = dict(record["metrics"]), before.losses if before else Points()
    if metrics.get("loss") is not None:
        losses = losses.add(record["step"], metrics["loss"])
    if before is not None and before.step == record["step"]:  # a full evaluation adds to the one before it
        metrics = {**before.metrics, **metrics}
    now = HeldOut(record["step"], metrics, losses)
    return evolve(state, held_out={**state.held_out, record["weights"]: now})


def _target_reached(state: State, record: Record) -> State:
    return evolve(state, target_reached=record)


def _rolled_back(state: State, record: Record) -> State:
    """Forget the kept steps that were taken back; the time and the total steps stay spent."""
    to_step = record["to_step"]
    losses, lrs = state.losses.until(to_step), state.lrs.until(to_step)
    held_out = {weights: _until(held, to_step) for weights, held in state.held_out.items()}
    reached = state.target_reached
    return evolve(
        state,
        step=to_step,
        losses=losses,
        loss=losses.items[-1][1] if losses.items else None,
        lrs=lrs,
        lr=lrs.items[-1][1] if lrs.items else None,
        held_out=held_out,
        target_reached=reached if reached and reached["step"] <= to_step else None,
        chosen=tuple(row for row in state.chosen if row.first_step < to_step),
        training=False,
        searching=True,
        extra_steps=state.extra_steps + max(0, record["from_step"] - to_step),
        notice=notices.rolled_back(record),
    )


def _until(held: HeldOut, step: int) -> HeldOut:
    """Keep the curve; what was measured of weights that are gone is not shown any more."""
    if held.step <= step:
        return held
    return HeldOut(held.step, {}, held.losses.until(step))


def _warned(state: State, record: Record) -> State:
    warnings = (*state.warnings, record["message"])[-MAX_WARNINGS:]
    return evolve(state, warnings=warnings, notice=f"warning: {record['message']}")


def _resumed(state: State, record: Record) -> State:
    return evolve(
        state,
        ended=None,
        reason=None,
        pace_from=None,
        recent=(),
        extra_steps=state.extra_steps + record["repeated_steps"],
        notice=notices.resumed(record),
    )


def _interrupted(state: State, record: Record) -> State:
    return evolve(state, ended="interrupted", reason=record["reason"])


def _run_finished(state: State, record: Record) -> State:
    return evolve(state, ended=record["status"], reason=record["reason"])


def _paced(state: State) -> State:
    now = (state.t, state.total_steps)
    recent = state.recent
    if not recent or state.t - recent[-1][0] >= RECENT_EVERY:
        recent = (*(moment for moment in recent if state.t - moment[0] <= RECENT_SECONDS), now)
    return evolve(state, pace_from=state.pace_from or now, recent=recent)


def _update_trial(state: State, record: Record, **changes: Any) -> State:
    rows = tuple(replace(row, **changes) if row.index == record["trial"] else row for row in state.trials)
    return evolve(state, trials=rows)


_HANDLERS = {
    "run_started": _run_started,
    "step": _step,
    "stage_started": _stage_started,
    "surrogate": _surrogate,
    "trial_started": _trial_started,
    "trial_step": _trial_step,
    "trial_finished": _trial_finished,
    "lr_chosen": _lr_chosen,
    "eval": _eval,
    "target_reached": _target_reached,
    "rolled_back": _rolled_back,
    "warned": _warned,
    "interrupted": _interrupted,
    "resumed": _resumed,
    "run_finished": _run_finished,
}
