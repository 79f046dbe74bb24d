"""The toy recipe on data that go bad in the middle of training."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

import torch.utils.data
from toy_recipe import Rings, ToyRecipe

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.errors import TrainingError


@dataclass(frozen=True)
class FailingRings(Rings):
    how: str = "unreadable"

    def batch(self, position: Position) -> Batch:
        if position.step == 30:
            if self.how == "unreadable":
                raise TrainingError("The file points.bin must be readable, but it is gone. Restore it.")
            if torch.utils.data.get_worker_info() is not None:
                os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
        return super().batch(position)


class FailingRecipe(ToyRecipe):
    def __init__(self, *, how: str, **toy) -> None:
        super().__init__(**toy)
        self.how = how

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> FailingRings:
        return FailingRings(seed, self.global_batch, self.micro_batches, world_size, self.how)
