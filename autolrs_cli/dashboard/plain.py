"""Plain lines for logs, pipes and dumb terminals: one line for each event that a person would want there."""

from __future__ import annotations

from collections.abc import Callable

from autolrs_cli.dashboard import notices, status_text
from autolrs_cli.dashboard.run_state import Record, State
from autolrs_cli.terminal import formats


def lines(state: State, record: Record) -> list[str]:
    """Return what `record` adds to the log; `state` already includes it."""
    event = record["event"]
    if event == "run_started":
        description = record["description"]
        return [status_text.headline(description), status_text.circumstances(description), _budget(state)]
    text = _text(event, state, record)
    if text is None:
        return []
    prefix = f"[{formats.duration(record['t']):>7}] step {record['step']}/{state.plan['max_steps']}"
    return [f"{prefix}  {text}"]


def _budget(state: State) -> str:
    kept, search = state.plan["max_steps"], state.plan["search_steps"]
    if not search:
        return f"{kept} steps, no search"
    if state.num_stages is None:
        return f"{kept} kept steps in searched stages, and up to {search} steps in trials"
    return f"{kept} kept steps in {state.num_stages} searched stages, and up to {search} steps of search"


def _text(event: str, state: State, record: Record) -> str | None:
    if event == "stage_started":
        return (
            f"{status_text.stage_name(record, state.num_stages)}: {record['steps']} steps; search by "
            f"{status_text.trials_of(record)}, LR {record['lr_min']:g} to "
            f"{record['lr_max']:g}, judged by {formats.LOSS_NAMES[record['objective']]}"
        )
    if event == "trial_finished":
        return _trial(state, record)
    if event == "lr_chosen":
        flags = f" ({formats.flags(record['flags'])})" if record["flags"] else ""
        kept = record.get("kept_steps")
        going_on = f", going on from the end of its trial of {kept} steps" if kept else ""
        why = f": {record['account']}" if record.get("account") else ""
        return f"  chosen LR {formats.lr(record['lr'])}{going_on}{flags}{why}"
    if event == "eval":
        averaged = ", averaged weights" if record["weights"] == "averaged" else ""
        if record["split"] != "target":
            return f"{formats.metrics(record['metrics'])} (the slice that chooses LRs{averaged})"
        now = f"training loss {formats.number(state.loss)}, LR {formats.lr(state.lr)}"
        return f"{formats.metrics(record['metrics'])} (held out{averaged}); {now}"
    say = _SENTENCES.get(event)
    return None if say is None else say(record)


_SENTENCES: dict[str, Callable[[Record], str]] = {
    "target_reached": lambda record: (
        f"target reached at step {record['reached_step']}: {record['metric']} {record['value']:g}"
    ),
    "warned": lambda record: f"warning: {record['message']}",
    "rolled_back": notices.rolled_back,
    "resumed": notices.resumed,
    "interrupted": lambda record: f"interrupted ({record['reason']})",
}


def _trial(state: State, record: Record) -> str:
    stage = state.stage
    of = f" of {stage['num_trials']}" if stage else ""
    head = f"  trial {record['trial'] + 1}{of}: LR {formats.lr(record['lr'])}"
    if record.get("end_lr") is not None:
        return f"{head} to {formats.lr(record['end_lr'])}, a ramp -> {record['steps']} steps ({record['reason']})"
    if record["status"] == "diverged":
        return f"{head} -> diverged ({record['reason']})"
    if record["status"] == "stopped":
        return f"{head} -> stopped after {record['steps']} steps ({record['reason']})"
    flags = f" [{formats.flags(record['flags'])}]" if record["flags"] else ""
    best = " (best so far)" if record["best"] else ""
    loss = "loss" if record.get("measured") else "predicted loss"
    return f"{head} -> {loss} {formats.number(record['predicted'])}{flags}{best}"
