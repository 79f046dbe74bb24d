"""Muon for the weight matrices of hidden layers, AdamW for everything else.

.. [Jordan2024] Jordan et al., Muon: An optimizer for hidden layers, kellerjordan.github.io/posts/muon
.. [Liu2025] Liu et al., Muon is Scalable for LLM Training, arXiv 2502.16982.

Everything else is: embeddings, the layers that data enter and predictions leave by, norms, biases. The recipe says
which weights are hidden (`ParameterGroup.hidden`), since a tensor does not show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError, UnfitGroupsError
from autolrs_cli.values import Fraction, PositiveFloat, checked
from autolrs_recipes.optimizers.parts import (
    Betas,
    Epsilon,
    GradientNorm,
    can_fuse,
    clip_gradients,
    torch_group,
)

LEAST_TORCH = "2.9"
_MOST_NAMED = 3


class MuonWithAdamW(Optimizer):
    """One optimizer made of torch's two: groups with `muon=True` are Muon's, the others AdamW's.

    State and groups are this one's. A convolution kernel [outputs, inputs, height, width] is Muon's as the matrix
    [outputs, inputs * height * width] in the order in which it lies in memory, which changes nothing but rounding:
    what Muon makes of a matrix does not depend on the order of its columns.

    Args:
        hidden, rest: torch's parameter groups.
        muon, adamw: their settings.
    """

    def __init__(
        self,
        hidden: list[dict[str, Any]],
        rest: list[dict[str, Any]],
        *,
        muon: Mapping[str, Any],
        adamw: Mapping[str, Any],
    ) -> None:
        as_matrices = [{**group, "params": [_as_matrix(p) for p in group["params"]]} for group in hidden]
        self._muon = _muon_class()(as_matrices, lr=0.0, **muon)
        self._adamw = torch.optim.AdamW(rest or [{"params": []}], lr=0.0, **adamw)
        own = [
            {**filled, "params": group["params"], "muon": True}
            for filled, group in zip(self._muon.param_groups, hidden, strict=True)
        ]
        others = [{**group, "muon": False} for group in self._adamw.param_groups if group["params"]]
        super().__init__([*own, *others], {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002 - torch's signature
        """Make a step of both."""
        # Their state is ours, which a restore may have replaced; so it is lent to them anew each time.
        self._muon.param_groups, self._muon.state = [], defaultdict(dict)
        for group in (group for group in self.param_groups if group["muon"]):
            matrices = [_as_matrix(p) for p in group["params"]]
            self._muon.param_groups.append({**group, "params": matrices})
            for parameter, matrix in zip(group["params"], matrices, strict=True):
                self._muon.state[matrix] = self.state[parameter]
        self._muon.step()
        self._adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self._adamw.state = self.state
        self._adamw.step()


@checked
def muon(
    groups: list[ParameterGroup],
    *,
    hidden_lr_ratio: PositiveFloat,
    rest_lr_ratio: PositiveFloat,
    flatten_kernels: bool,
    momentum: Fraction,
    nesterov: bool,
    ns_steps: Annotated[int, Field(strict=True, gt=0, lt=100)],
    adjust_lr: Literal["original", "match_rms_adamw"],
    betas: Betas,
    eps: Epsilon,
    weight_decay: Fraction,
    max_grad_norm: GradientNorm | None,
) -> Optimizer:
    """Build Muon with AdamW: at most two torch parameter groups per `ParameterGroup`.

    Args:
        groups: the model's parameters, already on their device.
        hidden_lr_ratio: LR of the hidden weights, per unit of their group's.
        rest_lr_ratio: LR of all others, likewise.
        flatten_kernels: take the kernels of hidden convolutions as matrices, one row for each output.
        momentum: of Muon.
        nesterov: whether it looks ahead along that.
        ns_steps: its Newton-Schulz iterations.
        adjust_lr: what the LR of a matrix [A, B] is multiplied by: max(1, A / B) ** 0.5 [Jordan2024]_, or
            0.2 * max(A, B) ** 0.5, with which it wants AdamW's LR ([Liu2025]_ Sec. 2.2).
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: share of each weight taken off per step and unit of LR, in the groups that decay.
        max_grad_norm: gradients are scaled down to this norm over all parameters; None: never.

    Raises:
        ConfigError: with everything that is wrong with the settings, or if torch has no Muon.
        UnfitGroupsError: if there are no matrices for it.
    """
    _muon_class()
    _require_matrices(groups, flatten_kernels=flatten_kernels)
    hidden: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for group in groups:
        named = {id(p) for p in group.hidden}
        for into, ratio, is_hidden in ((hidden, hidden_lr_ratio, True), (rest, rest_lr_ratio, False)):
            made = torch_group(group, weight_decay)
            made["params"] = [p for p in group.parameters if (id(p) in named) is is_hidden]
            made["lr_ratio"] *= ratio
            into.extend([made] if made["params"] else [])
    optimizer = MuonWithAdamW(
        hidden,
        rest,
        muon={"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr},
        adamw={"betas": (betas[0], betas[1]), "eps": eps, "fused": can_fuse(groups)},
    )
    clip_gradients(optimizer, groups, max_grad_norm)
    return optimizer


def _muon_class() -> Any:
    found = getattr(torch.optim, "Muon", None)
    if found is None:
        raise ConfigError(
            f"`optimizer=muon` needs torch {LEAST_TORCH} or later, which has torch.optim.Muon, but this is torch "
            f"{torch.__version__}. Type: pip install 'torch>={LEAST_TORCH}', or choose another optimizer."
        )
    return found


def _require_matrices(groups: list[ParameterGroup], *, flatten_kernels: bool) -> None:
    hidden = [p for group in groups for p in group.hidden]
    kernels = [p for p in hidden if p.ndim > 2]
    if not hidden:
        raise UnfitGroupsError(
            "`optimizer=muon` needs weight matrices of hidden layers, but the recipe names none. Let its "
            "parameter_groups name them (ParameterGroup.hidden), or choose another optimizer."
        )
    if kernels and not flatten_kernels:
        shapes = list(dict.fromkeys(str(list(p.shape)) for p in kernels))
        more = ", ..." if len(shapes) > _MOST_NAMED else ""
        raise UnfitGroupsError(
            f"`optimizer=muon` needs matrices, but {len(kernels)} of the {len(hidden)} hidden weights are convolution "
            f"kernels ({', '.join(shapes[:_MOST_NAMED])}{more}). Set optimizer.flatten_kernels=true, which takes each "
            "as a matrix with one row for each output, or choose another optimizer."
        )


def _as_matrix(weight: Tensor) -> Tensor:
    """Return a matrix [outputs, the rest] in the memory of `weight`, with its gradient; a matrix as it is."""
    if weight.ndim == 2:
        return weight
    strides = weight.stride()
    order = [0, *sorted(range(1, weight.ndim), key=lambda dim: -strides[dim])]
    matrix = weight.detach().permute(order).view(len(weight), -1)
    if weight.grad is not None:
        matrix.grad = weight.grad.permute(order).reshape(len(weight), -1)
    return matrix
