"""The work of `autolrs plan`: compose, measure, multiply, and show."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from autolrs_cli.compose.grid import GridPoint, compose_grid
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.errors import AutoLRSError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.cost.estimate import Cost, Measured, Shape, cost
from autolrs_cli.experiments.cost.measure import measure, shape_of
from autolrs_cli.experiments.cost.tables import show_grid, show_run
from autolrs_cli.overrides import key_in
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.terminal.console import PatientConsole, show_error

# Groups that change how many steps are made, not what one costs.
SAME_STEPS = ("seed", "schedule", "original_schedule", "search", "target")


@dataclass(frozen=True)
class Planned:
    """Runs that cost the same: they differ in the seed at most."""

    point: GridPoint
    runs: int
    shape: Shape
    measured: Measured
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        shape = asdict(self.shape)
        counts = {name: getattr(self.shape, name) for name in ("warm_up_steps", "trials", "evaluations")}
        return {
            "overrides": list(self.point.composed.overrides),
            "runs": self.runs,
            "steps": {
                **shape,
                **counts,
                "search_steps": self.shape.search.steps,
                "total_steps": self.cost.total_steps,
            },
            "measured": asdict(self.measured),
            "cost": {**asdict(self.cost), "total_seconds": self.cost.total_seconds},
        }


def main(overrides: Sequence[str], *, steps: int, as_json: bool, started: float) -> int:
    """Print what the runs that `overrides` stand for will cost; return the exit code.

    Args:
        overrides: Hydra's command line; keys may have several values.
        steps: that are timed, for each recipe and size.
        as_json: for scripts.
        started: `time.perf_counter()` when the process began.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        with errors.status("checking settings and data ..."):
            points, code = compose_grid(overrides, errors)
        if code or not points:
            return code
        startup = time.perf_counter() - started
        planned = _plan(points, steps, startup, errors)
    except AutoLRSError as error:
        return show_error(errors, error)
    if as_json:
        text = orjson.dumps([each.to_json() for each in planned], option=orjson.OPT_INDENT_2)
        sys.stdout.write(text.decode() + "\n")
        return ExitCode.DONE
    for each in planned if len(planned) == 1 else ():
        console.print(show_run(each.point.plan, each.shape, each.measured, each.cost), highlight=False)
    if len(planned) > 1 or planned[0].runs > 1:
        rows = [(_label(each, planned), each.runs, each.cost, each.measured) for each in planned]
        console.print(show_grid(rows), highlight=False)
    return ExitCode.DONE


def _plan(points: Sequence[GridPoint], steps: int, startup: float, errors: PatientConsole) -> list[Planned]:
    """Measure each recipe and size once, and count for each schedule."""
    groups: dict[str, list[GridPoint]] = {}
    for point in points:
        groups.setdefault(config_id(point.composed.config, (*HARMLESS_KEYS, "seed")), []).append(point)
    measured: dict[str, Measured] = {}
    planned = []
    # A searched run shows the parts of the others too, so it is the one to measure.
    for group in sorted(groups.values(), key=lambda group: group[0].plan.search is None):
        key = config_id(group[0].composed.config, (*HARMLESS_KEYS, *SAME_STEPS))
        if key not in measured:
            measured[key] = _measure(group[0].plan, steps, startup, errors)
        shape = shape_of(group[0].plan)
        planned.append(Planned(group[0], len(group), shape, measured[key], cost(shape, measured[key])))
    order = list(groups)
    return sorted(planned, key=lambda each: order.index(_kind(each.point)))


def _measure(plan: Plan, steps: int, startup: float, errors: PatientConsole) -> Measured:
    with PreparationProgress(errors) as progress:
        prepare_data(plan.recipe, progress)
    with errors.status(f"timing {steps} steps of {plan.settings.recipe['name']} ..."):
        return measure(plan, steps=steps, started=time.perf_counter() - startup)


def _kind(point: GridPoint) -> str:
    return config_id(point.composed.config, (*HARMLESS_KEYS, "seed"))


def _label(planned: Planned, others: Sequence[Planned]) -> str:
    """Return the overrides in which this run differs from the others, the seed left out."""
    shared = set.intersection(*(set(each.point.composed.overrides) for each in others))
    own = [each for each in planned.point.composed.overrides if len(others) == 1 or each not in shared]
    return " ".join(each.lstrip("+") for each in own if key_in(each) != "seed")
