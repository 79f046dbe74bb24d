"""Optimizers, built from a recipe's parameter groups; the loop sets each group's LR before every step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import Fraction, checked

Beta = Annotated[float, Field(strict=True, ge=0, le=0.999999)]


@checked
def sgd(
    groups: list[ParameterGroup], *, momentum: Fraction, nesterov: bool, weight_decay: Fraction
) -> torch.optim.Optimizer:
    """Build SGD with momentum: one torch parameter group per `ParameterGroup`.

    Args:
        groups: the model's parameters, already on their device.
        momentum: in [0, 1].
        nesterov: whether the gradient is taken at the point the momentum leads to.
        weight_decay: L2 penalty of the groups that decay.

    Raises:
        ConfigError: with everything that is wrong with the settings.
    """
    if nesterov and momentum == 0:
        raise ConfigError(
            "`optimizer.nesterov` needs momentum, but got optimizer.momentum=0. "
            "Set optimizer.momentum above 0 or optimizer.nesterov=false."
        )
    return torch.optim.SGD(
        [_torch_group(group, weight_decay) for group in groups],
        lr=0.0,
        momentum=momentum,
        nesterov=nesterov,
        fused=_can_fuse(groups),
    )


@checked
def adam(
    groups: list[ParameterGroup],
    *,
    betas: Annotated[Sequence[Beta], Field(min_length=2, max_length=2)],
    eps: Annotated[float, Field(strict=True, ge=1e-30, le=1)],
    weight_decay: Fraction,
    max_grad_norm: Annotated[float, Field(strict=True, ge=1e-30, le=1e30)] | None,
) -> torch.optim.Optimizer:
    """Build Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019).

    One torch parameter group per `ParameterGroup`.

    Args:
        groups: the model's parameters, already on their device.
        betas: decay rates of the running means of the gradient and of its square, each in [0, 1).
        eps: added to the root of the second; positive.
        weight_decay: share of each weight taken off per step and unit of LR, in the groups that decay.
        max_grad_norm: gradients are scaled down to this norm over all parameters; None: never.

    Raises:
        ConfigError: with everything that is wrong with the settings.
    """
    optimizer = torch.optim.AdamW(
        [_torch_group(group, weight_decay) for group in groups],
        lr=0.0,
        betas=(betas[0], betas[1]),
        eps=eps,
        fused=_can_fuse(groups),
    )
    if max_grad_norm is not None:
        parameters = [p for group in groups for p in group.parameters]

        optimizer.register_step_pre_hook(lambda *_: _clip(parameters, max_grad_norm))
    return optimizer


@torch.no_grad()
def _clip(parameters: list[torch.nn.Parameter], max_norm: float) -> None:
    """Do what `clip_grad_norm_` does, with its numbers, where it need not look for several devices and dtypes."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))


def from_class(
    groups: list[ParameterGroup], *, make: Callable[..., torch.optim.Optimizer], kind: type
) -> torch.optim.Optimizer:
    """Build an optimizer of torch's kind: one torch parameter group per `ParameterGroup`.

    In groups that do not decay, its `weight_decay` is 0.

    Args:
        groups: the model's parameters, already on their device.
        make: from torch's parameter groups to the optimizer; its settings are bound.
        kind: the class that `make` builds.
    """
    parameters = inspect.signature(kind).parameters
    named = [{"params": g.parameters, "name": g.name, "lr_ratio": g.lr_ratio} for g in groups]
    if "weight_decay" in parameters:
        for group, own in zip(groups, named, strict=True):
            own |= {} if group.decay else {"weight_decay": 0.0}
    # The schedule sets the LR before the first step; some classes refuse to begin with 0.
    needs_lr = "lr" in parameters and parameters["lr"].default is inspect.Parameter.empty
    return make(named, **({"lr": 1e-3} if needs_lr else {}))


def _torch_group(group: ParameterGroup, weight_decay: float) -> dict[str, Any]:
    return {
        "params": group.parameters,
        "name": group.name,
        "lr_ratio": group.lr_ratio,
        "weight_decay": weight_decay if group.decay else 0.0,
    }


def _can_fuse(groups: list[ParameterGroup]) -> bool:
    """Tell whether one kernel can do the whole update: on a CPU a third faster than `foreach` (measured)."""
    parameters = [p for group in groups for p in group.parameters]
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
