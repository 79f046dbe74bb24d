"""Measures of a held-out slice whose batches several processes have shared out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest

import torch
from torch import Tensor

from autolrs_cli.training.world import World


def shared_parts(
    world: World, measured: Iterable[Mapping[str, tuple[Tensor, float]]]
) -> list[dict[str, tuple[Tensor, float]]]:
    """Return the measures of all batches of a slice, in their order; the same on all processes.

    Summed in that order and in float64, they give the same mean for any number of processes, but for the rounding
    within a batch.

    Args:
        world: process r of n has measured batches r, r + n, r + 2n, ...
        measured: of each of them, name -> (sum (scalar tensor), weight).

    Returns:
        Of each batch, name -> (sum (float64 scalar on the CPU), weight).
    """
    own = [{name: (float(value), weight) for name, (value, weight) in found.items()} for found in measured]
    parts = filter(None, chain.from_iterable(zip_longest(*world.gather(own))))
    return [
        {name: (torch.tensor(value, dtype=torch.float64), weight) for name, (value, weight) in part.items()}
        for part in parts
    ]
