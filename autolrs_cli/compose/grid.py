"""Composing and checking every configuration that a command line with several values stands for."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from autolrs_cli.compose.hydra_app import compose_and_call, given_config_dir, given_overrides
from autolrs_cli.compose.resolve import launcher_in, resolve
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.overrides import key_in
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.terminal.console import show_error

HYDRAS_OWN, SWEEPER = ("hydra/", "hydra."), ("hydra/sweeper", "hydra.sweeper")


@dataclass(frozen=True)
class Composed:
    """One configuration of the grid."""

    overrides: tuple[str, ...]
    """What `autolrs train` takes to compose it again."""
    config_dir: tuple[str, ...]
    """`--config-dir` and its value, or nothing."""
    config: Mapping[str, Any]
    """Resolved."""
    steps: int
    """Optimizer steps that it will make, those of the search included."""


@dataclass(frozen=True)
class GridPoint:
    """One configuration of a grid."""

    composed: Composed
    plan: Plan
    """Shared by those that differ in the seed only, so its seed may be another's."""
    launcher: Mapping[str, Any]
    """The group that says where it is to be computed; no part of it."""


def compose_grid(overrides: Sequence[str], errors: Console) -> tuple[list[GridPoint], int]:
    """Return every configuration of the grid, checked; and an exit code, not 0 if one was refused.

    Nothing is written. An empty grid with exit code 0 means that a flag (--cfg job, --info) was answered instead.

    Args:
        overrides: Hydra's command line; keys may have several values.
        errors: where problems go: those of a configuration are said once, however many seeds it has.
    """
    points: list[GridPoint] = []
    plans: dict[str, Plan | None] = {}
    problems: list[str] = []

    def job(config: DictConfig) -> None:
        try:
            plain = resolve(config)
            kind = config_id(plain, (*HARMLESS_KEYS, "seed"))
            if kind not in plans:
                plans[kind] = None
                plans[kind] = check(plain)
        except AutoLRSError as error:
            found = error.problems if isinstance(error, ConfigError) else (str(error),)
            problems.extend(problem for problem in found if problem not in problems)
            return
        plan = plans[kind]
        if plan is not None:
            points.append(GridPoint(_composed(plain, plan), plan, launcher_in(config)))

    with tempfile.TemporaryDirectory(prefix="autolrs-") as aside:
        code = compose_and_call(job, _composing(overrides, aside), errors)
    if problems:
        code = show_error(errors, ConfigError(problems))
    return points, code


Values = Mapping[str, int | float | str]
"""Dotted settings and what they are set to."""


def compose_once(
    overrides: Sequence[str], vary: Callable[[GridPoint], Sequence[Values]], errors: Console
) -> tuple[list[GridPoint], int]:
    """Compose one configuration, and change some of its values; return what `compose_grid` does.

    As with overrides on the command line, what refers to a changed value follows it. Hydra takes half a second to
    compose; to change a value, a few milliseconds.

    Args:
        overrides: Hydra's command line, without several values for a key.
        vary: told the composed configuration; returns the values to change in it, once for each that is wanted.
        errors: where problems go.

    Raises:
        ConfigError: if one of them is refused by our own checks.
    """
    points: list[GridPoint] = []
    problems: list[ConfigError] = []

    def job(config: DictConfig) -> None:
        try:
            points.extend(_varied(config, vary))
        except ConfigError as error:
            problems.append(error)

    with tempfile.TemporaryDirectory(prefix="autolrs-") as aside:
        own = [each for each in overrides if not key_in(each).startswith(HYDRAS_OWN)]
        code = compose_and_call(job, [*own, f"hydra.run.dir={aside}", "hydra.output_subdir=null"], errors)
    if problems:
        raise problems[0]
    return points, code


def _varied(config: DictConfig, vary: Callable[[GridPoint], Sequence[Values]]) -> list[GridPoint]:
    plain = resolve(config)
    launcher = launcher_in(config)
    first = GridPoint(_composed(plain, plan := check(plain)), plan, launcher)
    plans = {config_id(plain, (*HARMLESS_KEYS, "seed")): plan}
    points = []
    for values in vary(first):
        changed = copy.deepcopy(config)
        for key, value in values.items():
            OmegaConf.update(changed, key, value)
        plain = resolve(changed)
        kind = config_id(plain, (*HARMLESS_KEYS, "seed"))
        plan = plans.get(kind) or plans.setdefault(kind, check(plain))
        given = tuple(f"{key}={value}" for key, value in values.items())
        points.append(GridPoint(_composed(plain, plan, given), plan, launcher))
    return points


def _composed(config: dict[str, Any], plan: Plan, more: Sequence[str] = ()) -> Composed:
    steps = plan.settings.run.max_steps + plan.search_steps
    return Composed((*given_overrides(), *more), tuple(given_config_dir()), config, steps)


def _composing(overrides: Sequence[str], aside: str) -> list[str]:
    """Return the command line that composes here and now, whatever launcher is to run it later."""
    own = [each for each in overrides if not key_in(each).startswith(HYDRAS_OWN)]
    sweeper = [each for each in overrides if key_in(each).startswith(SWEEPER)]
    multirun = [] if {"-m", "--multirun"} & set(own) else ["-m"]
    return [*own, *sweeper, "hydra/launcher=basic", f"hydra.sweep.dir={aside}", *multirun]


def launcher_overrides(overrides: Sequence[str]) -> list[str]:
    """Return those overrides that are for Hydra itself, the sweeper's left out."""
    keys = map(key_in, overrides)
    return [
        each
        for each, key in zip(overrides, keys, strict=True)
        if key.startswith(HYDRAS_OWN) and not key.startswith(SWEEPER)
    ]
