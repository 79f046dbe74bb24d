"""The state of a run in words, shared by the live view and plain lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autolrs_cli.dashboard.state import State


def number(value: float | None, digits: int = 4) -> str:
    """Return a loss or metric, or a dash where it was not finite."""
    return "-" if value is None else f"{value:.{digits}g}"


def lr(value: float | None) -> str:
    """Return an LR in scientific notation, so that the eye can compare magnitudes."""
    return "-" if value is None else f"{value:.2e}"


def duration(seconds: float | None) -> str:
    """Return h:mm:ss or m:ss."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def headline(description: Mapping[str, Any]) -> str:
    """Return the first line of every run: what it trains on, and how to get the paper's experiment."""
    return (
        f"{description['recipe']} at scale={description['scale']}: {description['model']} on "
        f"{description['data']}. For the paper's experiment: {description['to_get_the_papers']}"
    )


def circumstances(description: Mapping[str, Any]) -> str:
    """Return schedule, search, seed and machine."""
    search = f" (search={description['search']})" if description.get("search") else ""
    return (
        f"schedule={description['schedule']}{search}, seed {description['seed']}, {description['device']}, "
        f"{description['precision']}, {description['threads']} threads"
    )


def activity(state: State) -> str:
    """Say what is going on."""
    if state.ended:
        return f"{state.ended} after {state.step} kept and {state.total_steps} total steps"
    if not state.description:
        return "starting"
    stage = state.stage
    if stage is None:
        what = "warm-up" if state.num_stages else "training"
        return f"{what} at LR {lr(state.lr)}" if state.lr else "preparing"
    name = f"stage {stage['stage'] + 1} of {state.num_stages}"
    if state.training:
        return f"{name}: training {stage['steps']} steps at LR {lr(state.lr)}"
    if not state.trials:
        return f"{name}: search begins"
    trial = state.trials[-1]
    return (
        f"{name}: trial {trial.index + 1} of {stage['num_trials']} at LR {lr(trial.lr)}, "
        f"step {trial.step} of {stage['trial_steps']}"
    )


def metrics(record: Mapping[str, Any]) -> str:
    """Return the metrics of an `eval` record."""
    return ", ".join(f"{name} {number(value)}" for name, value in record["metrics"].items())


def flags(values: Sequence[str]) -> str:
    """Return flags as words."""
    return ", ".join(value.replace("_", " ") for value in values)
