"""The optimizer that a configuration names: a factory of ours or of a person's, or a class of torch's kind."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeGuard, cast

from hydra.utils import get_object
from torch.optim import Optimizer

from autolrs_cli.contracts import OptimizerFactory
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.instantiate import build
from autolrs_cli.training.optimizer_probe import require_restorable, specimen
from autolrs_recipes.optimizers import from_class


def optimizer_factory(node: Mapping[str, Any]) -> OptimizerFactory:
    """Return what builds the optimizer from a recipe's parameter groups, tried on a few small ones.

    `_target_` names a function of `list[ParameterGroup]`, with `_partial_: true`, or a subclass of
    `torch.optim.Optimizer`; its other keys are the arguments, but for `name`, which is what a person calls it.

    Raises:
        ConfigError: if it cannot be built, makes no steps, or cannot be brought back from a saved state.
    """
    node = {key: value for key, value in node.items() if key != "name"}
    if _names_a_class(node):
        if "lr" in node:
            raise ConfigError(
                "`optimizer.lr` has no effect: the LR comes from the schedule. Remove optimizer.lr."
            )
        node = {**node, "_partial_": True}
    factory = _adapted(build(node, "optimizer", rules=_refusals))
    require_restorable(factory)
    return factory


def _names_a_class(node: Mapping[str, Any]) -> bool:
    try:
        found = get_object(node["_target_"])
    except Exception:  # what is wrong with it is said when it is built
        return False
    return _is_of_torchs_kind(found)


def _adapted(built: Any) -> OptimizerFactory:
    """Return a factory, where `built` is a class with its settings bound."""
    if isinstance(built, partial) and _is_of_torchs_kind(built.func):
        return partial(from_class, make=built, kind=built.func)
    return cast("OptimizerFactory", built)


def _is_of_torchs_kind(found: object) -> TypeGuard[type[Optimizer]]:
    return inspect.isclass(found) and issubclass(found, Optimizer)


def _refusals(built: Any) -> list[str]:
    """Return why an optimizer's settings do not go together; other errors are worded when it is tried."""
    try:
        specimen(_adapted(built))
    except ConfigError as error:
        return list(error.problems)
    except Exception:
        return []
    return []
