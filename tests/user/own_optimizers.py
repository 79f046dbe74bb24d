"""Optimizers as people write them: each keeps its state somewhere else than torch's own do."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class FlatMomentum(Optimizer):
    """SGD with momentum whose state is one buffer for all parameters of a group; a view of it per parameter."""

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            parameters = group["params"]
            if not self.state[parameters[0]]:
                self._allocate(parameters)
            flat = self.state[parameters[0]]["flat"]
            flat.mul_(group["momentum"]).add_(torch.cat([p.grad.flatten() for p in parameters]))
            for p in parameters:
                p.sub_(group["lr"] * self.state[p]["own"])

    def _allocate(self, parameters: list[Tensor]) -> None:
        flat = torch.zeros(sum(p.numel() for p in parameters), dtype=parameters[0].dtype)
        self.state[parameters[0]]["flat"] = flat
        for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            self.state[p]["own"] = part.view(p.shape)


class GroupScaled(Optimizer):
    """SGD by a running norm of the gradient, which lies in the parameter groups, as everything else it knows does."""

    def __init__(self, params: Any, lr: float = 1e-3, decay: float = 0.9) -> None:
        super().__init__(params, {"lr": torch.tensor(lr), "decay": decay, "lowest": math.inf})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            norm = torch.stack([p.grad.square().sum() for p in group["params"]]).sum().sqrt()
            if "norm" not in group:  # it appears with the first step
                group["norm"], group["seen"], group["last"] = norm.clone(), {0: -math.inf}, []
            group["norm"].lerp_(norm, 1 - group["decay"])
            group["last"].append((len(group["last"]), float(norm)))
            del group["last"][:-3]
            group["lowest"] = min(group["lowest"], float(norm))
            group["seen"][0] = max(group["seen"][0], float(norm))
            scale = group["lowest"] / (group["norm"] + group["seen"][0] + group["last"][0][1])
            for p in group["params"]:
                p.sub_(group["lr"] * scale * p.grad)


class Switching(Optimizer):
    """SGD at a point between its iterates and their mean, and judged by the mean: the LR needs no decay.

    [Defazio2024] arXiv 2405.15682, eq. 2-4: y = (1 - beta) z + beta x, z -= lr g(y), x += (z - x) / (t + 1). In
    training the parameters hold y, else x.
    """

    def __init__(self, params: Any, lr: float = 1e-3, beta: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "trains": False, "steps": 0})

    @torch.no_grad()
    def train(self) -> None:
        for group in self.param_groups:
            if not group["trains"]:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], 1 - group["beta"])
            group["trains"] = True

    @torch.no_grad()
    def eval(self) -> None:
        for group in self.param_groups:
            if group["trains"]:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], 1 - 1 / group["beta"])
            group["trains"] = False

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            assert group["trains"], "a step in evaluation mode"
            group["steps"] += 1
            share = 1 / group["steps"]
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.clone())
                x = p.lerp(z, 1 - 1 / group["beta"])
                z.sub_(group["lr"] * p.grad)
                p.copy_(x.lerp(z, share).lerp(z, 1 - group["beta"]))


class OwnKeys(Optimizer):
    """SGD with momentum in attributes, given out by a state_dict of its own."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        self.speeds: list[Tensor] | None = None
        self.steps = 0
        super().__init__(params, {"lr": lr})

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "speeds": self.speeds, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k not in ("speeds", "steps")})
        self.speeds, self.steps = state_dict["speeds"], state_dict["steps"]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        pairs = [(p, group["lr"]) for group in self.param_groups for p in group["params"]]
        if self.speeds is None:
            self.speeds = [torch.zeros_like(p) for p, _ in pairs]
        self.steps += 1
        for (p, lr), speed in zip(pairs, self.speeds, strict=True):
            speed.mul_(0.9).add_(p.grad)
            p.sub_(lr / math.sqrt(self.steps) * speed)


class Forgetful(Optimizer):
    """Takes a longer step every fifth time; the count lies in an attribute that no state_dict knows."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        self.count = 0
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        self.count += 1
        factor = 2.0 if self.count % 5 == 0 else 1.0
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(factor * group["lr"] * p.grad)
