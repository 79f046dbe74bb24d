"""Prodigy, which estimates its own LR: the schedule's is a factor of that, 1 at its peak.

.. [Mishchenko2024] Mishchenko and Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, arXiv 2306.06101;
   their package `prodigyopt`.
"""

from __future__ import annotations

import math

import torch

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import UnfitGroupsError
from autolrs_cli.values import Fraction, PositiveFloat, checked
from autolrs_recipes.optimizers.parts import (
    Betas,
    Epsilon,
    GradientNorm,
    clip_gradients,
    optional_library,
    torch_group,
)


@checked
def prodigy(
    groups: list[ParameterGroup],
    *,
    betas: Betas,
    eps: Epsilon,
    weight_decay: Fraction,
    use_bias_correction: bool,
    safeguard_warmup: bool,
    d0: PositiveFloat,
    d_coef: PositiveFloat,
    growth_rate: PositiveFloat | None,
    max_grad_norm: GradientNorm | None,
) -> torch.optim.Optimizer:
    """Build Prodigy: one torch parameter group per `ParameterGroup`, all at one LR.

    Args:
        groups: the model's parameters, already on their device.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root of the second, times the estimate.
        weight_decay: share of each weight taken off per step and unit of LR, in the groups that decay.
        use_bias_correction: whether Adam's is made.
        safeguard_warmup: leave the schedule's LR out of the estimate's denominator: for schedules with a warm-up.
        d0: the estimate to begin with; it only grows.
        d_coef: factor of the estimate.
        growth_rate: the estimate's largest growth in a step; None: any.
        max_grad_norm: gradients are scaled down to this norm over all parameters; None: never.

    Raises:
        ConfigError: with everything that is wrong with the settings, or if the library is not there.
        UnfitGroupsError: if the groups are to train at LRs of their own.
    """
    library = optional_library("prodigyopt", "1.1", "optimizer=prodigy")
    ratios = {group.name: group.lr_ratio for group in groups}
    if len(set(ratios.values())) > 1:
        listed = ", ".join(f"{name}: {ratio:g}" for name, ratio in ratios.items())
        raise UnfitGroupsError(
            "`optimizer=prodigy` needs one LR for all parameters, since it estimates one distance for all of them, but "
            f"the recipe's groups have several (lr_ratio {listed}). Give its groups one lr_ratio, or choose another "
            "optimizer."
        )
    # The weight decay lies in the groups: given beside them, it makes the library print.
    optimizer: torch.optim.Optimizer = library.Prodigy(
        [torch_group(group, weight_decay) for group in groups],
        betas=(betas[0], betas[1]),
        eps=eps,
        use_bias_correction=use_bias_correction,
        safeguard_warmup=safeguard_warmup,
        d0=d0,
        d_coef=d_coef,
        growth_rate=math.inf if growth_rate is None else growth_rate,
    )
    optimizer.estimates_lr = True  # type: ignore[attr-defined]
    clip_gradients(optimizer, groups, max_grad_norm)
    return optimizer
