from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError
from autolrs_recipes.optimizers import sgd


def groups(model: nn.Module) -> list[ParameterGroup]:
    return [
        ParameterGroup("weights", [model.weight]),
        ParameterGroup("rest", [model.bias], decay=False, lr_ratio=0.5),
    ]


def test_one_torch_group_per_parameter_group():
    optimizer = sgd(groups(nn.Linear(3, 2)), momentum=0.9, nesterov=True, weight_decay=0.1)
    weights, rest = optimizer.param_groups
    assert (weights["name"], weights["lr_ratio"], weights["weight_decay"]) == ("weights", 1.0, 0.1)
    assert (rest["name"], rest["lr_ratio"], rest["weight_decay"]) == ("rest", 0.5, 0.0)
    assert weights["lr"] == rest["lr"] == 0.0
    assert not optimizer.state


def test_follows_the_textbook():
    """v = m v + g + d w;  w = w - lr (g + d w + m v)  with Nesterov's momentum."""
    torch.manual_seed(0)
    model = nn.Linear(40, 30, dtype=torch.float64)
    reference = copy.deepcopy(model)
    optimizer = sgd(groups(model), momentum=0.9, nesterov=True, weight_decay=0.1)
    speed = [torch.zeros_like(p) for p in reference.parameters()]
    for step in range(5):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (step + 1)
        for p in model.parameters():
            p.grad = torch.sin(p.detach() + step)
        optimizer.step()
        for p, v, decay in zip(reference.parameters(), speed, (0.1, 0.0), strict=True):
            gradient = torch.sin(p.detach() + step) + decay * p.detach()
            v.mul_(0.9).add_(gradient)
            p.data -= 0.01 * (step + 1) * (gradient + 0.9 * v)
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-12)


def test_bad_settings_all_at_once():
    with pytest.raises(ConfigError) as caught:
        sgd(groups(nn.Linear(3, 2)), momentum=-1, nesterov="yes", weight_decay=float("nan"))
    keys = ("optimizer.momentum", "optimizer.nesterov", "optimizer.weight_decay")
    assert [key in problem for key, problem in zip(keys, caught.value.problems, strict=True)] == [True] * 3


def test_nesterov_without_momentum():
    with pytest.raises(ConfigError, match=r"optimizer\.nesterov=false"):
        sgd(groups(nn.Linear(3, 2)), momentum=0, nesterov=True, weight_decay=0)
