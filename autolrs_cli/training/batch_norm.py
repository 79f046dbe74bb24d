"""BatchNorm's statistics of weights that are judged but not trained: estimated on training batches, then forgotten.

[Izmailov2018] arXiv 1803.05407, Sec. 3.2: statistics fit only the weights that they were gathered with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from autolrs_cli.contracts import Batch, Position, Recipe, kept
from autolrs_cli.training.placing import Placing
from autolrs_cli.training.train_data import train_stream


def first_batches(
    recipe: Recipe, seed: int, count: int, device: torch.device, world_size: int = 1
) -> list[Batch]:
    """Return the first training micro-batches of a run on all its processes, read apart from the run's own stream.

    Of several processes, some may have none in a step: those are left out, as they are when it is trained on.
    """
    stream = train_stream(recipe, 0, seed, world_size)
    found = []
    for number in range(count):
        step, part = divmod(number, world_size * stream.micro_batches)
        rank, micro = divmod(part, stream.micro_batches)
        batch = stream.batch(Position(0, step, micro, rank))
        if world_size == 1 or recipe.examples(batch):
            found.append(kept(Placing(device).place(batch)))
    return found


@contextmanager
def kept_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let the statistics be changed; afterwards they are what they were, bit for bit."""
    living: list[Tensor] = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
    kept = [buffer.clone() for buffer in living]
    try:
        yield
    finally:
        for buffer, value in zip(living, kept, strict=True):
            buffer.copy_(value)
