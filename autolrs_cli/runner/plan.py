"""Everything that can be known to be wrong before training starts, said at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from joblib import cpu_count

from autolrs_cli import settings as schema
from autolrs_cli.contracts import (
    Divisible,
    OptimizerFactory,
    Phase,
    Recipe,
    RunLength,
    Schedule,
    Segment,
    Target,
)
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.compiling import compiler_problems
from autolrs_cli.runner.config_outline import require_shape
from autolrs_cli.runner.initial_weights import initial_weights
from autolrs_cli.runner.instantiate import build, kind_problems, named_target
from autolrs_cli.runner.optimizer_factory import optimizer_factory
from autolrs_cli.runner.optimizer_fit import optimizer_problems
from autolrs_cli.schedules import LinearWarmup, tuning
from autolrs_cli.schedules.lengths import run_length, schedule_key
from autolrs_cli.search import RandomControl, RunOutline, Search

T = TypeVar("T")

NO_TARGET_TO_STOP_AT = (
    "A run that stops at its target must have one, but got run.stop_at_target=true and no target. Set target= (see "
    "docs/comparing.md), or leave run.stop_at_target out."
)


@dataclass(frozen=True)
class Plan:
    """A configuration that passed every check, and the objects made from it."""

    settings: schema.Settings
    recipe: Recipe
    make_optimizer: OptimizerFactory
    phases: tuple[Phase, ...]
    opening: Sequence[Segment]
    """What is not searched: the whole run, or the warm-up before a search."""
    schedule: Schedule
    """Gives the LRs of `opening`."""
    search: Search | None
    """None for a schedule that is not searched."""
    outline: RunOutline
    """What a search is told of the run."""
    target: Target | None
    device: torch.device
    threads: int

    @property
    def processes(self) -> int:
        """How many processes share each global batch."""
        return self.settings.runtime.processes

    @cached_property
    def stages(self) -> Sequence[Segment]:
        """The searched stages, as far as they are known beforehand."""
        return self.search.stages(self.outline) if self.search else ()

    @property
    def segments(self) -> Sequence[Segment]:
        """All of the run that is known beforehand, in order."""
        return [*self.opening, *self.stages]

    @property
    def length(self) -> RunLength:
        """What the run's length means to its schedule."""
        config = {"schedule": self.settings.schedule, "original_schedule": self.settings.original_schedule}
        return run_length(self.schedule, config[schedule_key(config)], self.settings.run.max_steps)

    @cached_property
    def search_steps(self) -> int:
        """Optimizer steps that the search spends on trials at most."""
        return self.search.most(self.outline).steps if self.search else 0


def with_threads(plan: Plan, threads: int) -> Plan:
    """Return the plan with so many threads."""
    return replace(plan, threads=threads)


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


def check(config: Mapping[str, Any], *, begins: bool = True) -> Plan:
    """Turn a resolved configuration into a plan.

    Args:
        config: plain containers, as composed by Hydra.
        begins: whether the run is to begin, and so needs what only its first step does.

    Raises:
        ConfigError: carrying every problem found in settings, data and hardware.
    """
    problems = _Problems()
    require_shape(config)
    # `run` is parsed twice, so that a mistake in another section does not hide those in the plan.
    run = problems.attempt(lambda: schema.parse(schema.RunSettings, config["run"], "run"))
    settings: schema.Settings | None = problems.attempt(lambda: schema.parse(schema.Settings, config))
    if begins and run is not None:
        problems.attempt(lambda: initial_weights(run.init_from))
    device = problems.attempt(lambda: _device(config["runtime"].get("device")))
    recipe: Recipe | None = problems.attempt(lambda: build_recipe(config))
    optimizer = problems.attempt(lambda: optimizer_factory(config["optimizer"]))
    schedule = problems.attempt(lambda: _schedule(config))
    problems.attempt(lambda: tuning.tuning_in(config))
    searched = config["schedule"].get("name") in schema.SEARCHED
    if optimizer is not None:
        problems.messages += optimizer_problems(
            optimizer,
            schedule=str(config["schedule"].get("name")),
            searched=searched,
            average=str(config["average"].get("name")),
        )
    search = problems.attempt(lambda: _search(config)) if searched else None
    target = problems.attempt(lambda: _target(settings.target, recipe)) if settings and recipe else None
    if run and run.stop_at_target and config["target"] is None:
        problems.messages.append(NO_TARGET_TO_STOP_AT)
    if device is not None and settings is not None:
        problems.messages += compiler_problems(settings.runtime.compile, device)
    if recipe and settings:
        problems.messages += sharing_problems(recipe, settings.runtime.processes)
    phases = recipe.phases(run.max_steps) if recipe and run else ()
    outline, opening = None, None
    if run and phases and schedule and (search or not searched):
        outline = RunOutline(
            phases,
            warmup_steps=schedule.warmup_steps if isinstance(schedule, LinearWarmup) else 0,
            seed=settings.seed if settings else 0,
            averaged=config["average"].get("name") != "none",
        )
        opening = problems.attempt(lambda: _opening(phases, run.max_steps, schedule, search))
        if search and opening is not None:
            problems.messages += search.problems(outline)
    if problems.messages:
        raise ConfigError(list(dict.fromkeys(problems.messages)))
    assert settings is not None
    assert recipe is not None
    assert optimizer is not None
    assert schedule is not None
    assert opening is not None
    assert outline is not None
    assert device is not None
    threads = settings.runtime.threads or max(1, cpu_count() // settings.runtime.processes)
    return Plan(
        settings, recipe, optimizer, phases, opening, schedule, search, outline, target, device, threads
    )


def _device(name: object) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"`runtime.device=cuda` needs a CUDA device, but torch sees none here{_why_none()}. "
            "Set runtime.device=cpu, or install a CUDA build of torch and its driver."
        )
    return torch.device("cuda" if name == "cuda" else "cpu")


def _why_none() -> str:
    """Return what torch says of it, in its first sentence: no driver, one that is too old, a build without CUDA."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        return f" ({said})" if said else ""
    return ""


def sharing_problems(recipe: Recipe, processes: int) -> list[str]:
    """Return why a recipe's steps cannot be cut into parts for so many processes."""
    if processes == 1:
        return []
    if not isinstance(recipe, Divisible):
        return [
            f"A recipe must say how its steps are shared out to be trained on several processes, but got "
            f"runtime.processes={processes} and a recipe without `sharing_problems`. Set runtime.processes=1, or "
            "write that method (see docs/scaling.md)."
        ]
    return recipe.sharing_problems(processes)


def build_recipe(config: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a resolved configuration describes.

    Raises:
        ConfigError: with every problem of its settings and data.
    """
    recipe: Recipe = build(config["recipe"], "recipe", config, kind=Recipe, rules=lambda it: it.problems())
    return recipe


def _schedule(config: Mapping[str, Any]) -> Schedule:
    """Return what gives the LRs that are not searched: those of the whole run, or of the warm-up before a search."""
    node = dict(config["schedule"])
    name = node.get("name")
    if name in schema.SEARCHED:
        warmup: schema.AutoLRSSettings = schema.parse(schema.AutoLRSSettings, node, "schedule")
        return LinearWarmup(warmup.warmup_lr, warmup.warmup_steps)
    at = "original_schedule" if name == "original" else "schedule"
    node = dict(config[at])
    for said_beside in ("name", tuning.KEY):
        node.pop(said_beside, None)
    schedule: Schedule = build(node, at, kind=Schedule, rules=lambda it: it.problems(at))
    return schedule


def _search(config: Mapping[str, Any]) -> Search:
    """Return the search that the configuration describes; under schedule=random with its LRs drawn."""
    search = _configured_search(dict(config["search"]))
    if config["schedule"]["name"] != "random":
        return search
    if isinstance(search, RandomControl):
        return search.at_random()
    raise ConfigError(
        "schedule=random draws the LRs that a search would ask for, so the search must say how, but "
        f"search={config['search'].get('name')} has no method `at_random`. "
        "Write it, or choose search=lean or search=paper."
    )


def _configured_search(node: dict[str, Any]) -> Search:
    kind = named_target(node, "search")
    if inspect.isclass(kind) and issubclass(kind, schema.Section):
        if problems := kind_problems(kind, Search, "search"):
            raise ConfigError(problems)
        del node["_target_"]
        found: Search = schema.parse(kind, node, "search")
        return found
    searched: Search = build(node, "search", kind=Search)
    return searched


def _target(settings: schema.TargetSettings | None, recipe: Recipe) -> Target | None:
    if settings is None:
        return None
    if settings.metric not in ("loss", recipe.metric.name):
        raise ConfigError(
            f"`target.metric` must be loss or {recipe.metric.name}, but got {settings.metric!r}. Set target.metric."
        )
    direction = "min" if settings.metric == "loss" else recipe.metric.direction
    return Target(settings.metric, settings.value, direction)


def _opening(
    phases: Sequence[Phase], max_steps: int, schedule: Schedule, search: Search | None
) -> list[Segment]:
    """Return what is not searched: the warm-up before a search, or one segment per phase."""
    planned = sum(phase.steps for phase in phases)
    if planned != max_steps:
        raise ConfigError(
            f"The phases of a recipe must add up to run.max_steps, but add up to {planned} of {max_steps}. "
            "Mend the recipe's phases()."
        )
    if search is not None:
        assert isinstance(schedule, LinearWarmup)
        steps = schedule.warmup_steps
        return [Segment("warm_up", 0, 0, steps)] if steps else []
    firsts = [sum(phase.steps for phase in phases[:index]) for index in range(len(phases))]
    return [Segment("schedule", index, firsts[index], phase.steps) for index, phase in enumerate(phases)]
