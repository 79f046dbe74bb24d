"""Whether an optimizer goes with the rest of a run: with its schedule, its averaging, its recipe's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from autolrs_cli.contracts import AdaptiveSchedule, OptimizerFactory, Schedule, SwitchingOptimizer
from autolrs_cli.seeding import isolated
from autolrs_cli.training.optimizer_probe import specimen, takes_any_groups
from autolrs_cli.training.optimizer_state import estimates_lr

if TYPE_CHECKING:
    from autolrs_cli.runner.plan import Plan

# An LR that stays within this share of its peak counts as constant; a factor this near to 1, as 1 (both ours).
_STEADY, _NEAR = 0.99, 2.0
_MOST_LOOKED_AT = 500


def optimizer_problems(
    make_optimizer: OptimizerFactory, *, schedule: str, searched: bool, average: str
) -> list[str]:
    """Return why an optimizer cannot be used with this schedule or averaging.

    Args:
        make_optimizer: from `optimizer_factory`.
        schedule: its name.
        searched: whether its LRs are searched.
        average: its name.
    """
    optimizer, found = specimen(make_optimizer), []
    name = type(optimizer).__name__
    if isinstance(optimizer, SwitchingOptimizer) and average != "none":
        found.append(
            f"`average={average}` averages the weights that are trained, but {name} is judged by an average that it "
            "keeps itself, and an average of that would say nothing of either. Leave `average` out, or choose another "
            "optimizer."
        )
    if estimates_lr(optimizer) and searched:
        found.append(
            f"`schedule={schedule}` searches for LRs, but {name} estimates its own while it trains: a short trial at "
            "another LR would measure how fast the estimate follows, not how good the LR is. Choose a schedule that "
            "is not searched (schedule=cosine, schedule=constant), or another optimizer."
        )
    return found


def optimizer_warnings(plan: Plan) -> list[str]:
    """Return what speaks against an optimizer with this schedule, though it can be used."""
    optimizer = specimen(plan.make_optimizer)
    name, schedule = type(optimizer).__name__, plan.settings.schedule["name"]
    found = []
    if isinstance(optimizer, SwitchingOptimizer) and not _is_steady(plan):
        found.append(
            f"{name} averages its weights itself and wants a constant LR after the warm-up, but that of "
            f"schedule={schedule} changes; set schedule=constant"
        )
    peak = max(_lrs(plan.schedule, plan.settings.run.max_steps)) if plan.search is None else 1.0
    if estimates_lr(optimizer) and not 1 / _NEAR <= peak <= _NEAR:
        key = "original_schedule" if schedule == "original" else "schedule"
        found.append(
            f"{name} estimates the LR itself and takes the schedule's as a factor of it, which should be 1 at its "
            f"peak, but that of schedule={schedule} is {peak:.4g}; set {key}.peak_lr=1.0"
        )
    return found


def require_trainable(plan: Plan) -> None:
    """Check that the optimizer can train the parameter groups of the recipe, if that depends on them.

    Args:
        plan: whose recipe's data are ready.

    Raises:
        ConfigError: if it cannot.
    """
    if takes_any_groups(plan.make_optimizer):
        return
    with isolated(plan.settings.seed, "initialisation"):
        model = plan.recipe.model()
    plan.make_optimizer(plan.recipe.parameter_groups(model))


def _is_steady(plan: Plan) -> bool:
    """Whether the LR stays at its peak once it is there."""
    if plan.search is not None or isinstance(plan.schedule, AdaptiveSchedule):
        return False
    lrs = list(_lrs(plan.schedule, plan.settings.run.max_steps))[::-1]
    peak = max(lrs)
    return all(lr >= _STEADY * peak for lr in lrs[lrs.index(peak) :])


def _lrs(schedule: Schedule, steps: int) -> Iterator[float]:
    """Yield the LRs of some of the steps, the last among them."""
    for step in range(steps - 1, -1, -max(1, steps // _MOST_LOOKED_AT)):
        yield schedule.lr(step)
