"""The order of training examples: one permutation per epoch, a function of (seed, phase, epoch)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autolrs_cli.seeding import generator


class EpochOrder:
    """Which image stands at which place of the endless training sequence: one permutation per epoch."""

    def __init__(self, num_examples: int, seed: int, phase: int) -> None:
        self.num_examples = num_examples
        self.seed = seed
        self.phase = phase
        self._cache: dict[int, Tensor] = {}

    def examples(self, first: int, count: int) -> Tensor:
        """Return the images (int64 [count]) at places first, ..., first + count - 1, across epochs."""
        pieces = []
        while count > 0:
            epoch, at = divmod(first, self.num_examples)
            piece = self._permutation(epoch)[at : at + count]
            pieces.append(piece)
            first += len(piece)
            count -= len(piece)
        return torch.cat(pieces)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._cache:
            while len(self._cache) > 1:  # two epochs: batches straddle their border
                del self._cache[next(iter(self._cache))]
            stream = generator(self.seed, "data", "order", self.phase, epoch)
            self._cache[epoch] = torch.randperm(self.num_examples, generator=stream)
        return self._cache[epoch]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # 10 MB for ImageNet: cheaper to draw again than to send
