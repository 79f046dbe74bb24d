"""A recipe as a user would write one: a small classifier with BatchNorm and dropout on two noisy rings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolrs_cli.contracts import Batch, Description, Metric, ParameterGroup, Phase, Position
from autolrs_cli.seeding import generator


def rings(count: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points [count, 2] on a ring of radius 1 (class 0) or 2 (class 1), with noise."""
    labels = torch.randint(0, 2, (count,), generator=stream)
    angle = torch.rand(count, generator=stream, dtype=torch.float64) * 2 * math.pi
    radius = labels + 1 + torch.randn(count, generator=stream, dtype=torch.float64) * 0.3
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 1), labels


@dataclass(frozen=True)
class Rings:
    """Endless training batches; every batch is drawn afresh from (seed, position)."""

    seed: int
    global_batch: int
    micro_batches: int
    world_size: int = 1

    def batch(self, position: Position) -> Batch:
        stream = generator(self.seed, "data", position.phase, position.step)
        points, labels = rings(self.global_batch, stream)
        first = position.rank * self.micro_batches + position.micro
        part = slice(first, None, self.micro_batches * self.world_size)
        return {"points": points[part], "labels": labels[part]}


@dataclass(frozen=True)
class HeldOutRings:
    """Two fixed batches per slice."""

    split: str
    num_batches: int = 2

    def batch(self, index: int) -> Batch:
        points, labels = rings(64, generator(0, self.split, index))
        return {"points": points, "labels": labels}


class ToyRecipe:
    """Two phases, two parameter groups, dropout, BatchNorm: everything that a restore could forget."""

    metric = Metric("accuracy", "max")
    example_unit = "points"

    def __init__(self, *, name: str, global_batch: int, micro_batches: int, num_phases: int) -> None:
        self.name = name
        self.global_batch = global_batch
        self.micro_batches = micro_batches
        self.num_phases = num_phases

    def describe(self) -> Description:
        return Description("two noisy rings", "a small network", "there is none")

    def problems(self) -> list[str]:
        return []

    def fingerprint(self) -> str:
        return "rings"

    def phases(self, max_steps: int) -> tuple[Phase, ...]:
        first = max_steps if self.num_phases == 1 else max_steps // 2
        phases = (Phase("one", first, self.global_batch), Phase("two", max_steps - first, self.global_batch))
        return phases[: self.num_phases]

    def model(self) -> nn.Module:
        layers = (nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
        return nn.Sequential(*layers).double()

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        first, *rest = model.parameters()
        return [ParameterGroup("first", [first], lr_ratio=0.5), ParameterGroup("rest", rest, decay=False)]

    def sharing_problems(self, world_size: int) -> list[str]:
        return []

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> Rings:
        return Rings(seed, self.global_batch, self.micro_batches, world_size)

    def eval_stream(self, split: str) -> HeldOutRings:
        return HeldOutRings(split)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        loss = F.cross_entropy(model(batch["points"]), batch["labels"], reduction="sum")
        return loss, float(len(batch["labels"]))

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        loss, weight = self.loss(model, batch)
        right = (model(batch["points"]).argmax(1) == batch["labels"]).sum()
        return {"loss": (loss, weight), "accuracy": (right, weight)}

    def examples(self, batch: Batch) -> int:
        return len(batch["labels"])
