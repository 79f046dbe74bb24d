from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError
from autolrs_recipes.optimizers import adam, sgd


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
    keys = ("`momentum`", "`nesterov`", "`weight_decay`")
    assert [key in problem for key, problem in zip(keys, caught.value.problems, strict=True)] == [True] * 3


def test_nesterov_without_momentum():
    with pytest.raises(ConfigError, match=r"optimizer\.nesterov=false"):
        sgd(groups(nn.Linear(3, 2)), momentum=0, nesterov=True, weight_decay=0)


def test_adam_follows_the_textbook():
    """w -= lr * decay * w;  w -= lr * m_hat / (sqrt(v_hat) + eps), after clipping the whole gradient to norm 1."""
    torch.manual_seed(0)
    model = nn.Linear(40, 30, dtype=torch.float64)
    reference = copy.deepcopy(model)
    optimizer = adam(groups(model), betas=[0.9, 0.98], eps=1e-6, weight_decay=0.1, max_grad_norm=1.0)
    first, second = ([torch.zeros_like(p) for p in reference.parameters()] for _ in range(2))
    for step in range(1, 6):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * step
        for p in model.parameters():
            p.grad = torch.sin(p.detach() * step) * 5
        gradients = [torch.sin(p.detach() * step) * 5 for p in reference.parameters()]
        norm = torch.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > 1
        optimizer.step()
        for p, m, v, g, decay in zip(
            reference.parameters(), first, second, gradients, (0.1, 0.0), strict=True
        ):
            g = g / norm
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.98).add_(0.02 * g**2)
            p.data -= 0.01 * step * decay * p.data
            p.data -= 0.01 * step * (m / (1 - 0.9**step)) / ((v / (1 - 0.98**step)).sqrt() + 1e-6)
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-6)  # clip_grad_norm_ divides by the norm plus 1e-6


def test_adam_without_clipping_leaves_gradients_alone():
    model = nn.Linear(3, 2)
    optimizer = adam(groups(model), betas=[0.9, 0.98], eps=1e-9, weight_decay=0.0, max_grad_norm=None)
    for p in model.parameters():
        p.grad = torch.full_like(p, 100.0)
    optimizer.step()
    assert all((p.grad == 100).all() for p in model.parameters())


def test_bad_adam_settings_all_at_once():
    with pytest.raises(ConfigError) as caught:
        adam(groups(nn.Linear(3, 2)), betas=[0.9, 1], eps=0, weight_decay=-1, max_grad_norm=0)
    keys = ("`betas[1]`", "`eps`", "`weight_decay`", "`max_grad_norm`")
    assert [key in problem for key, problem in zip(keys, caught.value.problems, strict=True)] == [True] * 4
    with pytest.raises(ConfigError, match="`betas` must have at least 2 items"):
        adam(groups(nn.Linear(3, 2)), betas=[0.9], eps=1e-9, weight_decay=0, max_grad_norm=None)
