"""A recipe whose largest stable LR is known: gradient descent on a noisy parabola."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from toy_recipe import ToyRecipe

from autolrs_cli.contracts import Batch, ParameterGroup, Position
from autolrs_cli.seeding import generator


class Point(nn.Module):
    """One number to be learnt, 10 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.full((1,), 10.0, dtype=torch.float64))


@dataclass(frozen=True)
class Noise:
    seed: int
    micro_batches: int = 1

    def batch(self, position: Position) -> Batch:
        return {"points": torch.randn(16, generator=generator(self.seed, "data", position.step)).double()}


class QuadraticRecipe(ToyRecipe):
    """Loss curvature / 2 * (place - point)^2, so that plain gradient descent diverges from LR 2 / curvature on."""

    def __init__(self, *, curvature: float, **toy) -> None:
        super().__init__(**toy)
        self.curvature = curvature

    def model(self) -> nn.Module:
        return Point()

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        return [ParameterGroup("all", list(model.parameters()), decay=False)]

    def train_stream(self, phase: int, seed: int) -> Noise:
        return Noise(seed)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        return self.curvature / 2 * (model.place - batch["points"]).square().sum(), float(
            len(batch["points"])
        )

    def examples(self, batch: Batch) -> int:
        return len(batch["points"])
