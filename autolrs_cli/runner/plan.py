"""Everything that can be known to be wrong before training starts, said at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from joblib import cpu_count

from autolrs_cli import settings as schema
from autolrs_cli.contracts import OptimizerFactory, ParameterGroup, Phase, Recipe, Schedule, Target
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.config_outline import require_shape
from autolrs_cli.runner.instantiate import build
from autolrs_cli.search import CleanUp, SearchSettings
from autolrs_cli.training.stages import Segment, plan_problems, plan_schedule, plan_search

T = TypeVar("T")
# Far above any use; the plan lists every stage.
MOST_STAGES = 10_000
BUDGET_KEYS = frozenset(schema.BudgetSettings.model_fields)


@dataclass(frozen=True)
class Plan:
    """A configuration that passed every check, and the objects made from it."""

    settings: schema.Settings
    recipe: Recipe
    make_optimizer: OptimizerFactory
    phases: tuple[Phase, ...]
    segments: Sequence[Segment]
    schedule: Schedule | schema.AutoLRSSettings
    search: SearchSettings | None
    """None for a schedule that is not searched."""
    budget: schema.BudgetSettings | None
    """Likewise."""
    target: Target | None
    device: torch.device
    threads: int

    @property
    def search_steps(self) -> int:
        """Optimizer steps that the search will spend on trials, if none of them stops early."""
        trials = self.search.num_trials if self.search else 0
        return trials * sum(segment.trial_steps for segment in self.segments)


class _Problems:
    """Collects the messages of every check that fails, so that no check hides another."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def attempt(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except ConfigError as error:
            self.messages += error.problems
            return None


def check(config: Mapping[str, Any]) -> Plan:
    """Turn a resolved configuration into a plan.

    Args:
        config: plain containers, as composed by Hydra.

    Raises:
        ConfigError: carrying every problem found in settings, data and hardware.
    """
    problems = _Problems()
    require_shape(config)
    # `run` is parsed twice, so that a mistake in another section does not hide those in the plan.
    run = problems.attempt(lambda: schema.parse(schema.RunSettings, config["run"], "run"))
    settings: schema.Settings | None = problems.attempt(lambda: schema.parse(schema.Settings, config))
    device = problems.attempt(lambda: _device(config["runtime"].get("device")))
    recipe: Recipe | None = problems.attempt(lambda: build_recipe(config))
    optimizer = problems.attempt(lambda: _optimizer(config["optimizer"]))
    schedule = problems.attempt(lambda: _schedule(config))
    searched = config["schedule"].get("name") in schema.SEARCHED
    search = problems.attempt(lambda: _search(config)) if searched else None
    budget = problems.attempt(lambda: _budget(config["search"])) if searched else None
    target = problems.attempt(lambda: _target(settings.target, recipe)) if settings and recipe else None
    phases = recipe.phases(run.max_steps) if recipe and run else ()
    segments = None
    if run and phases and schedule:
        segments = problems.attempt(lambda: _segments(phases, run.max_steps, schedule, budget))
    if problems.messages:
        raise ConfigError(list(dict.fromkeys(problems.messages)))
    assert settings is not None
    assert recipe is not None
    assert schedule is not None
    assert segments is not None
    assert device is not None
    threads = settings.runtime.threads or cpu_count()
    return Plan(
        settings, recipe, optimizer, phases, segments, schedule, search, budget, target, device, threads
    )


def _device(name: object) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "`runtime.device=cuda` needs a CUDA device, but torch sees none here. "
            "Set runtime.device=cpu, or install a CUDA build of torch and its driver."
        )
    return torch.device("cuda" if name == "cuda" else "cpu")


def build_recipe(config: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a resolved configuration describes.

    Raises:
        ConfigError: with every problem of its settings and data.
    """
    recipe: Recipe = build(config["recipe"], "recipe", config, kind=Recipe)
    found = recipe.problems()
    if found:
        raise ConfigError(found)
    return recipe


def _optimizer(node: Mapping[str, Any]) -> OptimizerFactory:
    factory: OptimizerFactory = build(node, "optimizer")
    try:
        factory([ParameterGroup("probe", [torch.nn.Parameter(torch.zeros(1))])])
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"`optimizer` must be buildable, but it is not: {error}. Mend optimizer."
        ) from error
    return factory


def _schedule(config: Mapping[str, Any]) -> Schedule | schema.AutoLRSSettings:
    node = dict(config["schedule"])
    name = node.get("name")
    if name in schema.SEARCHED:
        settings: schema.AutoLRSSettings = schema.parse(schema.AutoLRSSettings, node, "schedule")
        return settings
    at = "original_schedule" if name == "original" else "schedule"
    node = dict(config[at])
    node.pop("name", None)
    schedule: Schedule = build(node, at, kind=Schedule)
    found = schedule.problems(at)
    if found:
        raise ConfigError(found)
    return schedule


def _search(config: Mapping[str, Any]) -> SearchSettings:
    node = dict(config["search"])
    if config["schedule"]["name"] == "random":
        node["questions"] = "random"
    known = {*_names(SearchSettings), *BUDGET_KEYS, "name"}
    problems = [f"`search.{key}` is not a setting. Remove search.{key}." for key in node if key not in known]
    for group in ("clean_up_train", "clean_up_choose"):
        problems += _clean_up_problems(node.get(group), f"search.{group}")
    if problems:
        raise ConfigError(problems)
    found = SearchSettings.from_mapping(node)
    problems = found.problems()
    if problems:
        raise ConfigError(problems)
    return found


def _clean_up_problems(node: object, at: str) -> list[str]:
    if not isinstance(node, Mapping):
        return [f"`{at}` must be a group of settings, but got {at}={node!r}. Set {at}."]
    return [
        f"`{at}.{key}` is not a setting. Remove {at}.{key}." for key in node if key not in _names(CleanUp)
    ]


def _names(settings: type) -> list[str]:
    return [field.name for field in fields(settings)]


def _budget(node: Mapping[str, Any]) -> schema.BudgetSettings:
    budget: schema.BudgetSettings = schema.parse(
        schema.BudgetSettings, {k: v for k, v in node.items() if k in BUDGET_KEYS}, "search"
    )
    if budget.initial_stage_steps > budget.max_stage_steps:
        raise ConfigError(
            "`initial_stage_steps <= max_stage_steps` must hold, but got search.initial_stage_steps="
            f"{budget.initial_stage_steps}, search.max_stage_steps={budget.max_stage_steps}. "
            "Set search.max_stage_steps."
        )
    return budget


def _target(settings: schema.TargetSettings | None, recipe: Recipe) -> Target | None:
    if settings is None:
        return None
    if settings.metric not in ("loss", recipe.metric.name):
        raise ConfigError(
            f"`target.metric` must be loss or {recipe.metric.name}, but got {settings.metric!r}. Set target.metric."
        )
    direction = "min" if settings.metric == "loss" else recipe.metric.direction
    return Target(settings.metric, settings.value, direction)


def _segments(
    phases: Sequence[Phase],
    max_steps: int,
    schedule: Schedule | schema.AutoLRSSettings,
    budget: schema.BudgetSettings | None,
) -> Sequence[Segment] | None:
    planned = sum(phase.steps for phase in phases)
    if planned != max_steps:
        raise ConfigError(
            f"The phases of a recipe must add up to run.max_steps, but add up to {planned} of {max_steps}. "
            "Mend the recipe's phases()."
        )
    if not isinstance(schedule, schema.AutoLRSSettings):
        return plan_schedule(phases)
    if budget is None:
        return None
    most = sum(phase.steps for phase in phases) // budget.max_stage_steps
    if most > MOST_STAGES:
        raise ConfigError(
            f"A run may have {MOST_STAGES:,} searched stages at most, but run.max_steps and search.max_stage_steps="
            f"{budget.max_stage_steps} give up to {most:,}. Raise search.max_stage_steps or shorten run.max_steps."
        )
    segments = plan_search(phases, schedule.warmup_steps, budget)
    found = plan_problems(segments, phases, schedule.warmup_steps)
    if found:
        raise ConfigError(found)
    return segments
