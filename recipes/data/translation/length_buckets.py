"""Batches by token count: examples of like length together, every batch addressed by its number.

Examples are sorted into buckets by length. Bucket b, with N_b examples of at most `bound_b` tokens, gives batches of
`size_b = batch_tokens // bound_b` examples, all full: they are read off an endless sequence in which every epoch of
the bucket holds each of its examples once. After r rounds, bucket b has given `floor(r * N_b / size_b)` batches, so in
the long run every example is seen equally often, whatever its length. The batches of a round come in random order.
The batch of a number is therefore known without those before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from autolrs_cli.seeding import derive_seed, generator
from autolrs_recipes.data.epoch_order import EpochOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_BOUND = 8
# Each bucket's bound over the one before: padding costs at most about a sixth.
_GROWTH = 1.2


class LengthBuckets:
    """Which examples make up batch 0, 1, ... of a phase.

    Args:
        lengths: tokens of each example, [N], each at most `batch_tokens`.
        batch_tokens: tokens per batch, padding included, at most.
        seed: fixes the order.
        phase: 0-based phase of the run.
    """

    def __init__(self, lengths: NDArray[np.int32], batch_tokens: int, seed: int, phase: int) -> None:
        self.seed, self.phase = seed, phase
        self._members, self.sizes = _buckets(lengths, batch_tokens)
        self._orders = [
            EpochOrder(len(members), derive_seed(seed, "bucket", number), phase)
            for number, members in enumerate(self._members)
        ]
        self._round: tuple[int, Tensor] = (-1, torch.empty(0))

    def examples(self, batch: int) -> NDArray[np.int64]:
        """Return the examples of a batch, [size of its bucket]."""
        number = self._round_of(batch)
        order = self._order_of(number)
        place = batch - self._given(number)
        bucket = int(order[place])
        earlier = self._given_by(bucket, number) + int((order[:place] == bucket).sum())
        size = self.sizes[bucket]
        members = self._members[bucket]
        found: NDArray[np.int64] = members[self._orders[bucket].examples(earlier * size, size).numpy()]
        return found

    def _given_by(self, bucket: int, rounds: int) -> int:
        """Return how many batches a bucket has given after so many rounds."""
        return rounds * len(self._members[bucket]) // self.sizes[bucket]

    def _given(self, rounds: int) -> int:
        return sum(self._given_by(bucket, rounds) for bucket in range(len(self.sizes)))

    def _round_of(self, batch: int) -> int:
        """Return the round that a batch belongs to: the last one that starts at or before it."""
        if self._round[0] >= 0 and self._given(self._round[0]) <= batch < self._given(self._round[0] + 1):
            return self._round[0]
        most = 1
        while self._given(most) <= batch:
            most *= 2
        return bisect_right(range(most), batch, key=self._given) - 1

    def _order_of(self, number: int) -> Tensor:
        """Return the bucket of each batch of a round, in the order of the round."""
        if self._round[0] != number:
            counts = [
                self._given_by(b, number + 1) - self._given_by(b, number) for b in range(len(self.sizes))
            ]
            buckets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
            stream = generator(self.seed, "data", "rounds", self.phase, number)
            self._round = (number, buckets[torch.randperm(len(buckets), generator=stream)])
        return self._round[1]


def _buckets(lengths: NDArray[np.int32], batch_tokens: int) -> tuple[list[NDArray[np.int64]], list[int]]:
    """Return the examples of each bucket, ascending, and the size of its batches.

    A bucket with fewer examples than one batch joins the next longer one, the last joins the one before: else
    a batch would hold the same few examples several times.
    """
    bounds = _bounds(int(lengths.max()))
    which = np.array([bisect_left(bounds, length) for length in range(bounds[-1] + 1)])[lengths]
    groups: list[tuple[int, list[int]]] = []
    waiting: list[int] = []
    counts = np.bincount(which, minlength=len(bounds))
    for bucket, bound in enumerate(bounds):
        waiting.append(bucket)
        if counts[waiting].sum() >= max(1, batch_tokens // bound):
            groups.append((bound, waiting))
            waiting = []
    if waiting:
        joined = groups.pop()[1] if groups else []
        groups.append((bounds[-1], joined + waiting))
    members = [np.flatnonzero(np.isin(which, buckets)) for _, buckets in groups]
    return members, [max(1, batch_tokens // bound) for bound, _ in groups]


def _bounds(longest: int) -> list[int]:
    bounds, bound = [], _FIRST_BOUND
    while bound < longest:
        bounds.append(bound)
        bound = max(bound + 1, int(bound * _GROWTH))
    return [*bounds, longest]
