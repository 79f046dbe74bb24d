"""What a run's length means to its schedule, as the schedule itself says: for the run's record, and read from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from autolrs_cli import schedules
from autolrs_cli.contracts import Cycle, FilledCycles, RunLength

_OURS = f"{schedules.__name__}."
_RECORDED: TypeAdapter[RunLength] = TypeAdapter(RunLength)


def schedule_key(config: Mapping[str, Any]) -> Literal["schedule", "original_schedule"]:
    """Return which node of a resolved configuration holds the schedule that it trains with."""
    return "original_schedule" if config["schedule"].get("name") == "original" else "schedule"


def run_length(schedule: object, node: Mapping[str, Any], steps: int) -> RunLength:
    """Return what the length of a run means to its schedule.

    Args:
        schedule: an object or a class: what it has to say stands on the class.
        node: its settings, resolved.
        steps: length of the run.
    """
    cycle = getattr(schedule, "cycle", None)
    cycles = _filled(cycle, node, steps) if isinstance(cycle, Cycle) else None
    return RunLength(bool(getattr(schedule, "decays", False)), cycles)


def recorded_run_length(started: Mapping[str, Any]) -> RunLength:
    """Return what a run's own record says; nothing is imported that a journal names.

    Args:
        started: the event `run_started`. Those of earlier versions do not say it: then our own schedules are asked, and
            of others only those are taken to decay that were told the run's length.
    """
    try:
        return _RECORDED.validate_python(started.get("length"))
    except ValidationError:
        config = started["config"]
    node = config[schedule_key(config)]
    target = str(node.get("_target_", ""))
    ours = getattr(schedules, target.removeprefix(_OURS), None) if target.startswith(_OURS) else None
    if ours is not None:
        return run_length(ours, node, config["run"]["max_steps"])
    return RunLength("max_steps" in node, None)


def _filled(cycle: Cycle, node: Mapping[str, Any], steps: int) -> FilledCycles | None:
    """Return the cycles whose last one ends with the run; None if none does.

    Nothing in the settings says how many there are: the number is the one with which the cycles fill the run after its
    warm-up, as tuning makes them.
    """
    period, growth, warmup = (
        node.get(cycle.period),
        node.get(cycle.growth) if cycle.growth else 1,
        node.get(cycle.warmup) if cycle.warmup else 0,
    )
    if not (isinstance(period, int) and isinstance(growth, int) and isinstance(warmup, int)):
        return None  # a journal that somebody wrote by hand
    if not isinstance(steps, int):
        return None
    for cycles in range(1, steps + 1):
        found = FilledCycles(cycle.period, cycles, growth or 1, cycle.parts, warmup or 0, cycle.continuous)
        filling = found.period(steps)
        if filling <= period:
            return found if filling == period else None
    return None
