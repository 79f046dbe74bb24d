"""Means over a held-out slice whose batches several processes have shared out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest

from torch import Tensor

from autolrs_cli.training.world import World


def shared_means(world: World, measured: Iterable[Mapping[str, tuple[Tensor, float]]]) -> dict[str, float]:
    """Return the mean of each measure over a slice; summed in float64, in the order of its batches.

    So it is the same on all processes, and for any number of them but for the rounding within a batch.

    Args:
        world: process r of n has measured batches r, r + n, r + 2n, ...
        measured: of each of them, name -> (sum (scalar tensor), weight).
    """
    own = [{name: (float(value), weight) for name, (value, weight) in found.items()} for found in measured]
    sums: dict[str, float] = {}
    terms: dict[str, float] = {}
    for found in filter(None, chain.from_iterable(zip_longest(*world.gather(own)))):
        for name, (value, weight) in found.items():
            sums[name] = sums.get(name, 0.0) + value
            terms[name] = terms.get(name, 0.0) + weight
    return {name: value / terms[name] for name, value in sums.items()}
