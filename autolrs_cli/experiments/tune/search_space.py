"""The search space of a schedule (configs/tune), and what a point in it means for a run of a given length."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field
from scipy.stats.qmc import LatinHypercube

from autolrs_cli.contracts import FilledCycles
from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import Section, parse
from autolrs_cli.values import NonNegativeFloat, PositiveFloat, PositiveInt

Point = dict[str, float]
"""Parameter -> value, as Optuna keeps it: an LR, a share, a whole number."""
# Those that others refer to come first.
_ORDER = {"lr": 0, "whole": 0, "share": 1, "cycles": 2}


class LrRange(Section):
    """An LR, log-uniform between two multiples of another."""

    kind: Literal["lr"]
    of: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat
    start: PositiveFloat


class ShareRange(Section):
    """A setting that is a share of another one of the space, log-uniform."""

    kind: Literal["share"]
    of: str
    low: PositiveFloat
    high: PositiveFloat
    start: PositiveFloat


class WholeRange(Section):
    """A whole number."""

    kind: Literal["whole"]
    low: Annotated[int, Field(strict=True)]
    high: Annotated[int, Field(strict=True)]
    start: Annotated[int, Field(strict=True)]


class CyclesRange(Section):
    """The length of a period, such that this whole number of cycles fills the run after its warm-up."""

    kind: Literal["cycles"]
    low: PositiveInt
    high: PositiveInt
    start: PositiveInt
    growth: str | None = None
    """The setting by which each cycle is longer than the one before; null: all are equally long."""
    parts: PositiveInt = 1
    """How many of the setting's periods make a cycle."""
    continuous: bool = False
    """Whether the LR ends a cycle where the next one begins: then the nearest whole period is taken, else the next
    longer one, so that no new cycle begins before the run's end."""


Range = Annotated[LrRange | ShareRange | WholeRange | CyclesRange, Field(discriminator="kind")]


class BudgetSettings(Section):
    """How a study spends its budget."""

    name: str
    budget_lengths: Annotated[int, Field(strict=True, ge=2)]
    """What a bracket costs, in lengths of the run that is tuned for."""
    finalists: Annotated[int, Field(strict=True, ge=1)]
    """Configurations that get a run of full length."""
    entrants: Annotated[int, Field(strict=True, ge=2)]
    """Configurations that get a short run."""
    shortest_steps: Annotated[int, Field(strict=True, ge=1)]
    horizon_exponent: NonNegativeFloat
    """An LR at full length stands for one that is (full length / length) to this power higher in a shorter run."""
    startup_trials: Annotated[int, Field(strict=True, ge=1)]


class TuneSettings(BudgetSettings):
    """The group `tune`: how a study spends its budget, and the space it looks in."""

    space: Annotated[dict[str, Range], Field(min_length=1)]


def shipped_budget() -> BudgetSettings:
    """Return how every study spends its budget if a person asks for nothing else."""
    node = yaml.safe_load((files("autolrs_configs") / "tune" / "hyperband.yaml").read_text(encoding="utf-8"))
    settings: BudgetSettings = parse(BudgetSettings, node, "tune")
    return settings


def read_settings(node: Mapping[str, Any]) -> TuneSettings:
    """Return the group `tune`, checked.

    Raises:
        ConfigError: with every problem.
    """
    try:
        settings: TuneSettings = parse(TuneSettings, node, "tune")
    except ConfigError as error:  # pydantic puts the kind of a range into the key
        kinds = re.compile(rf"(tune\.space\.\w+)\.({'|'.join(_ORDER)})\b")
        raise ConfigError([kinds.sub(r"\1", problem) for problem in error.problems]) from None
    problems = [problem for key in settings.space for problem in _range_problems(settings.space, key)]
    if settings.finalists >= settings.budget_lengths:
        problems.append(
            "The short runs must have a part of the budget: `tune.finalists < tune.budget_lengths` must hold, but got "
            f"tune.finalists={settings.finalists}, tune.budget_lengths={settings.budget_lengths}. Set tune.finalists."
        )
    if problems:
        raise ConfigError(problems)
    return settings


def _range_problems(space: Mapping[str, Range], key: str) -> Iterator[str]:
    given, at = space[key], f"tune.space.{key}"
    if not given.low < given.high:
        yield f"`low < high` must hold, but got {at}.low={given.low}, {at}.high={given.high}. Set {at}.high."
    elif not given.low <= given.start <= given.high:
        yield f"`low <= start <= high` must hold, but got {at}.start={given.start}. Set {at}.start."
    name = "of" if isinstance(given, ShareRange) else "growth"
    other = getattr(given, name, None)
    if isinstance(given, ShareRange | CyclesRange) and other is not None and other not in space:
        yield f"`{at}.{name}` must name a setting of the space, but got {other}. Set {at}.{name}."


def parameter_name(key: str, given: Range) -> str:
    """Return what a person calls the parameter behind the setting `key`."""
    if isinstance(given, ShareRange):
        return f"{key}/{given.of}"
    return "cycles" if isinstance(given, CyclesRange) else key


def bounds(given: Range) -> tuple[float, float, bool]:
    """Return lowest and highest value of a parameter, and whether it is continuous on a log axis."""
    if isinstance(given, LrRange):
        return given.of * given.low, given.of * given.high, True
    return given.low, given.high, isinstance(given, ShareRange)


def start_point(space: Mapping[str, Range]) -> Point:
    """Return the configuration that is tried first."""
    return {
        parameter_name(key, given): given.start * (given.of if isinstance(given, LrRange) else 1)
        for key, given in space.items()
    }


def spread(space: Mapping[str, Range], count: int, seed: int) -> list[Point]:
    """Return `count` points that cover each parameter's range evenly: a Latin hypercube, random within its cells."""
    shares = LatinHypercube(len(space), rng=seed).random(count).tolist()
    return [
        {
            parameter_name(key, given): _value(given, share)
            for (key, given), share in zip(space.items(), row, strict=True)
        }
        for row in shares
    ]


def _value(given: Range, share: float) -> float:
    """Return the value at a share (from 0 to below 1) of a range."""
    low, high, continuous = bounds(given)
    return min(
        high, low * (high / low) ** share if continuous else low + math.floor(share * (high - low + 1))
    )


def schedule_settings(
    space: Mapping[str, Range],
    point: Point,
    schedule: Mapping[str, Any],
    steps: int,
    full_steps: int,
    horizon_exponent: float = 0.0,
) -> dict[str, Any]:
    """Return the schedule's settings at `point` in a run of `steps`, fully decayed there.

    What the schedule counts in steps and is not tuned (its length, its warm-up) is scaled with the run's length.

    Args:
        space: the tuned settings.
        point: one value for each.
        schedule: the resolved node of the schedule, for a run of `full_steps`.
        steps: length of this run.
        full_steps: length of the run that is tuned for.
        horizon_exponent: by which power of `full_steps / steps` the LRs of this run are higher than those of the point.
    """
    found: dict[str, Any] = {
        key: max(1, round(value * steps / full_steps))
        for key, value in schedule.items()
        if key.endswith("_steps") and key not in space and value
    }
    for key, given in sorted(space.items(), key=lambda item: _ORDER[item[1].kind]):
        value = point[parameter_name(key, given)]
        if isinstance(given, LrRange):
            value *= (full_steps / steps) ** horizon_exponent
        if isinstance(given, ShareRange):
            value *= found[given.of]
        if isinstance(given, CyclesRange):
            growth = found[given.growth] if given.growth else 1
            warmup = found.get("warmup_steps", 0)
            cycles = FilledCycles(key, int(value), growth, given.parts, warmup, given.continuous)
            value = cycles.period(steps)
        found[key] = int(value) if isinstance(given, WholeRange | CyclesRange) else value
    return found
