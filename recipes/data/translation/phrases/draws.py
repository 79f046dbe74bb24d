"""A stream of draws that is the same on every machine and with every version of Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from autolrs_cli.seeding import generator

T = TypeVar("T")
_BLOCK = 4096


class Draws:
    """Draws from the stream called `names` of a seed; in blocks, since single draws from torch are slow."""

    def __init__(self, seed: int, *names: str) -> None:
        self._stream = generator(seed, *names)
        self._block: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = torch.rand(_BLOCK, generator=self._stream, dtype=torch.float64).tolist()
        return self._block.pop()

    def between(self, least: int, most: int) -> int:
        """Return a whole number in [least, most]."""
        return least + int(self.uniform() * (most - least + 1))

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self.uniform() * len(items))]
