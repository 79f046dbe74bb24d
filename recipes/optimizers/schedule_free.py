"""Schedule-free optimizers, which need no decay: what they are judged by is an average that they keep themselves.

.. [Defazio2024] Defazio et al., The Road Less Scheduled, arXiv 2405.15682; their package `schedulefree`.

The package's own `warmup_steps` stays 0: the run's schedule has a warm-up, whose LRs enter the average's weights in the
same way (a test makes both). Two warm-ups would be multiplied.
"""

from __future__ import annotations

from typing import Any

import torch

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.values import Fraction, NonNegativeFloat, PositiveInt, ProperFraction, checked
from autolrs_recipes.optimizers.parts import (
    Betas,
    Epsilon,
    GradientNorm,
    clip_gradients,
    optional_library,
    torch_group,
)

LIBRARY, LEAST = "schedulefree", "1.4"


@checked
def schedulefree_sgd(
    groups: list[ParameterGroup],
    *,
    momentum: ProperFraction,
    weight_decay: Fraction,
    r: NonNegativeFloat,
    weight_lr_power: NonNegativeFloat,
    batchnorm_batches: PositiveInt,
) -> torch.optim.Optimizer:
    """Build schedule-free SGD: one torch parameter group per `ParameterGroup`.

    Args:
        groups: the model's parameters, already on their device.
        momentum: share of the average in the point that gradients are taken at (beta in [Defazio2024]_ eq. 2).
        weight_decay: L2 penalty of the groups that decay.
        r: step t enters the average with the weight t ** r; 0: all weigh the same.
        weight_lr_power: and with the highest LR so far to this power, so that a warm-up weighs little.
        batchnorm_batches: training micro-batches on which BatchNorm's statistics of the judged weights are estimated.

    Raises:
        ConfigError: with everything that is wrong with the settings, or if the library is not there.
    """
    library = optional_library(LIBRARY, LEAST, "optimizer=schedulefree_sgd")
    optimizer = library.SGDScheduleFree(
        [torch_group(group, weight_decay) for group in groups],
        lr=0.0,
        momentum=momentum,
        r=r,
        weight_lr_power=weight_lr_power,
    )
    return _judged(optimizer, batchnorm_batches)


@checked
def schedulefree_adamw(
    groups: list[ParameterGroup],
    *,
    betas: Betas,
    eps: Epsilon,
    weight_decay: Fraction,
    r: NonNegativeFloat,
    weight_lr_power: NonNegativeFloat,
    max_grad_norm: GradientNorm | None,
    batchnorm_batches: PositiveInt,
) -> torch.optim.Optimizer:
    """Build schedule-free AdamW: one torch parameter group per `ParameterGroup`.

    Args:
        groups: the model's parameters, already on their device.
        betas: share of the average in the point that gradients are taken at, above 0; decay rate of the running mean
            of the squared gradient.
        eps: added to the root of that.
        weight_decay: decoupled, taken at that point, in the groups that decay.
        r: as in `schedulefree_sgd`.
        weight_lr_power: likewise.
        max_grad_norm: gradients are scaled down to this norm over all parameters; None: never.
        batchnorm_batches: as in `schedulefree_sgd`.

    Raises:
        ConfigError: with everything that is wrong with the settings, or if the library is not there.
    """
    library = optional_library(LIBRARY, LEAST, "optimizer=schedulefree_adamw")
    optimizer = library.AdamWScheduleFree(
        [torch_group(group, weight_decay) for group in groups],
        lr=0.0,
        betas=(betas[0], betas[1]),
        eps=eps,
        r=r,
        weight_lr_power=weight_lr_power,
    )
    clip_gradients(optimizer, groups, max_grad_norm)
    return _judged(optimizer, batchnorm_batches)


def _judged(optimizer: Any, batchnorm_batches: int) -> torch.optim.Optimizer:
    """Let the loop know how to measure it (see `SwitchingOptimizer`)."""
    optimizer.batchnorm_batches = batchnorm_batches
    built: torch.optim.Optimizer = optimizer
    return built
