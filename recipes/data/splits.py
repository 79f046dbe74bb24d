"""How held-out slices are cut out of a labelled set: by rank within the class, whatever the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rank_in_class(keys: NDArray[np.uint64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each example's 0-based rank [N] by key among those of its label; equal keys share the lowest.

    Slices are cut by this rank: it depends on the examples alone, and duplicates cannot be torn apart.
    """
    order = np.lexsort((keys, labels))
    place = np.arange(len(order))
    new_label = np.diff(labels[order], prepend=-1) != 0
    new_key = new_label | (np.diff(keys[order], prepend=np.uint64(0)) != 0)
    start_of_label = np.maximum.accumulate(np.where(new_label, place, 0))
    start_of_key = np.maximum.accumulate(np.where(new_key, place, 0))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = start_of_key - start_of_label
    return rank


def taken_per_class(class_sizes: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return how many examples [C] a slice takes of each class: a fraction, rounded down, at least one."""
    taken: NDArray[np.int64] = np.maximum(1, np.floor(fraction * class_sizes).astype(np.int64))
    return taken
