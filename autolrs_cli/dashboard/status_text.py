"""The state of a run in words, shared by the live view, plain lines and `watch`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from autolrs_cli.dashboard.run_state import State
from autolrs_cli.terminal.formats import lr, number


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
        f"{description['precision']}, {threads(description)}"
    )


def threads(description: Mapping[str, Any]) -> str:
    """Return how many threads compute, and in how many processes."""
    count, processes = description["threads"], description.get("processes", 1)
    said = f"{count} thread{'' if count == 1 else 's'}"
    return said if processes == 1 else f"{processes} processes of {said}"


def title(description: Mapping[str, Any]) -> str:
    """Return what run this is, as one would type it."""
    search = f" search={description['search']}" if description.get("search") else ""
    return (
        f"{description['recipe']} scale={description['scale']} schedule={description['schedule']}{search} "
        f"seed={description['seed']}"
    )


def activity(state: State) -> str:
    """Say what is going on."""
    if state.ended:
        why = f" ({state.reason})" if state.ended == "interrupted" else ""
        return f"{state.ended} after {state.step} kept and {state.total_steps} total steps{why}"
    if not state.description:
        return "starting: loading libraries and data"
    if state.abandoned:
        return f"killed in {_place(state)} (no process works on it any more)"
    return _place(state)


def next_command(state: State) -> str | None:
    """Return what one would type to go on with a run that stopped."""
    if state.directory is None or not (state.abandoned or state.ended == "interrupted"):
        return None
    return f"autolrs resume {shlex.quote(state.directory)}"


def target(state: State) -> str | None:
    """Say what the target is and how far it is; None: there is none."""
    aim = state.description.get("target")
    if aim is None:
        return None
    sign = ">=" if aim["direction"] == "max" else "<="
    goal = f"target {aim['metric']} {sign} {aim['value']:g}"
    if state.target_reached:
        record = state.target_reached
        return f"{goal}: reached at step {record['reached_step']} ({record['reached_total_steps']} in all)"
    now = measured(state, aim["metric"])
    if now is None:
        return f"{goal}: not measured yet"
    left = aim["value"] - now if aim["direction"] == "max" else now - aim["value"]
    return f"{goal}: {number(left, 3)} to go" if left > 0 else f"{goal}: passed once"


def measured(state: State, metric: str) -> float | None:
    """Return the latest value of a metric; where weights are averaged, theirs decides."""
    for weights in ("averaged", "raw"):
        held = state.held_out.get(weights)
        if held is not None and held.metrics.get(metric) is not None:
            return held.metrics[metric]
    return None


def stage_name(stage: Mapping[str, Any], num_stages: int | None) -> str:
    """Name a stage, and of how many it is where that is known beforehand."""
    name = f"stage {stage['stage'] + 1}"
    return name if num_stages is None else f"{name} of {num_stages}"


def trials_of(stage: Mapping[str, Any]) -> str:
    """Say how many trials a stage has at most, and how long they are."""
    count = stage["num_trials"]
    if not count:
        return "no trials"
    if stage.get("search_steps") is not None:
        return f"up to {count} trials of {stage['search_steps']:,} steps in all, at most"
    return f"{count} trial{'' if count == 1 else 's'} of {stage['trial_steps']} steps"


def _place(state: State) -> str:
    stage = state.stage
    if stage is None:
        if state.lr is None:
            return "preparing the first step"
        what = "warm-up" if state.is_searched else "training"
        return f"{what}: step {state.step} of {_segment_end(state)} at LR {lr(state.lr)}"
    name = stage_name(stage, state.num_stages)
    if not state.searching:
        return f"{name}: {_training(state)}"
    if not state.trials:
        return f"{name}: the search begins, {trials_of(stage)}"
    trial = state.trials[-1]
    at = lr(trial.lr) if trial.end_lr is None else f"{lr(trial.lr)} to {lr(trial.end_lr)}"
    which = f"{name}: trial {trial.index + 1} of {stage['num_trials']} at LR {at}"
    if trial.status == "running":
        return f"{which}, step {trial.step} of {trial.steps or stage['trial_steps']}"
    return f"{which} {'done' if trial.status == 'ok' else trial.status}, choosing the next LR"


def _training(state: State) -> str:
    stage, safe = state.stage or {}, ""
    if state.chosen and "all_failed" in state.chosen[-1].flags:
        safe = "the safe "
    done = max(0, state.step - stage["first_step"])
    return f"training at {safe}LR {lr(state.lr)}, step {done} of {stage['steps']}"


def _segment_end(state: State) -> int:
    """Return the kept step at which the warm-up, or the run without a search, ends."""
    segments = state.plan.get("segments", ())
    if state.is_searched and segments:
        return int(segments[0]["first_step"]) + int(segments[0]["steps"])
    return int(state.plan.get("max_steps", 0))
