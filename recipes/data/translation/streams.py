"""Streams of sentence pairs, addressed by position."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from autolrs_cli.contracts import Batch, Position
from autolrs_recipes.data.translation.length_buckets import LengthBuckets
from autolrs_recipes.data.translation.pairs import PAD_ID, PairTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class TrainPairs:
    """Endless training batches by token count.

    Args:
        pairs: the training slice.
        batch_tokens: tokens of each side per optimizer step over all ranks, padding included, at most.
        micro_batches: parts of like many pairs that a step of one rank is read in.
        seed: fixes the order.
        phase: 0-based phase of the run.
        world_size: number of ranks; each owns one contiguous part of the global batch.
    """

    def __init__(
        self,
        pairs: PairTable,
        *,
        batch_tokens: int,
        micro_batches: int,
        seed: int,
        phase: int,
        world_size: int = 1,
    ) -> None:
        self.pairs = pairs
        self.batch_tokens = batch_tokens
        self.micro_batches = micro_batches
        self.seed = seed
        self.phase = phase
        self.world_size = world_size

    @cached_property
    def buckets(self) -> LengthBuckets:
        """Which pairs make up which batch."""
        return LengthBuckets(self.pairs.lengths(), self.batch_tokens, self.seed, self.phase)

    def batch(self, position: Position) -> Batch:
        """Return one micro-batch; see `collated`."""
        assert position.phase == self.phase, (position, self.phase)
        examples = self.buckets.examples(position.step)
        part, parts = (
            position.rank * self.micro_batches + position.micro,
            self.micro_batches * self.world_size,
        )
        first, end = (len(examples) * border // parts for border in (part, part + 1))
        return collated(self.pairs, examples[first:end])

    def __getstate__(self) -> dict[str, Any]:
        # The order of millions of pairs is cheaper to draw again than to send.
        return {name: value for name, value in self.__dict__.items() if name != "buckets"}


class HeldOutPairs:
    """A held-out slice, sorted by length, in fixed batches.

    Args:
        pairs: the slice.
        batch_tokens: tokens of each side per batch, padding included, at most (but at least one pair).
    """

    def __init__(self, pairs: PairTable, batch_tokens: int) -> None:
        self.pairs = pairs
        lengths = pairs.lengths()
        self._order = np.argsort(lengths, kind="stable")
        self._batches = grouped(lengths[self._order].tolist(), batch_tokens)
        self.num_batches = len(self._batches)

    def batch(self, index: int) -> Batch:
        """Return batch `index`; see `collated`."""
        return collated(self.pairs, self._order[self._batches[index]])


def grouped(lengths: Sequence[int], batch_tokens: int) -> list[slice]:
    """Cut an ascending sequence of lengths into runs of at most `batch_tokens` tokens, padding included."""
    groups, first = [], 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - first) * lengths[end] > batch_tokens:
            groups.append(slice(first, end))
            first = end
    return groups


def collated(pairs: PairTable, examples: NDArray[np.int64]) -> Batch:
    """Return "source" and "target", int64 [B, longest of the side], each padded with `PAD_ID` at its end."""
    return {
        "source": padded([pairs.source[i] for i in examples.tolist()]),
        "target": padded([pairs.target[i] for i in examples.tolist()]),
    }


def widened(batch: Batch, tokens: int, longest: int) -> Batch:
    """Pad both sides of a batch to as many places as `tokens` have room for, but not beyond `longest`.

    Its pairs are as many as fit with the longest of them (see `length_buckets`), so few numbers of places occur.
    """
    pairs, width = batch["source"].shape[0], max(side.shape[1] for side in batch.values())
    places = max(width, min(longest, tokens // max(1, pairs)))
    return {
        name: F.pad(side, (0, places - side.shape[1]), value=PAD_ID) if pairs else side
        for name, side in batch.items()
    }


def padded(sentences: Sequence[NDArray[np.int32] | list[int]]) -> Tensor:
    """Return sentences (none: of length 0) as int64 [B, longest], padded with `PAD_ID` at the end."""
    tokens = np.full((len(sentences), max(map(len, sentences), default=0)), PAD_ID, dtype=np.int64)
    for row, sentence in zip(tokens, sentences, strict=True):
        row[: len(sentence)] = sentence
    return torch.from_numpy(tokens)
