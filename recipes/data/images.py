"""What all image data share: the order of examples, the splits, and streams addressed by position.

Example number `n = step * global_batch + place` of a phase belongs to epoch `n // N` (N training images)
and is entry `n % N` of that epoch's permutation. Order and augmentation are functions of (seed, phase, step,
place), so a batch holds the same pixels for any micro-batch size, number of ranks, and number of workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.seeding import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

Slice: TypeAlias = Literal["train", "choose", "target"]


@dataclass(frozen=True)
class Draw:
    """Names the random draws of one micro-batch: those of its places in the global batch of a step."""

    seed: int
    phase: int
    step: int
    first: int
    """Place of the micro-batch's first example in the global batch."""
    global_batch: int


class ImageReader(Protocol):
    """The images of one slice; picklable, and never touches the process's global random state."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, examples: Tensor, draw: Draw | None) -> Batch:
        """Return "images" float32 [B, 3, H, W] (channels_last), "labels" int64 [B] and "ids" int64 [B].

        Args:
            examples: int64 [B], each in [0, len(self)).
            draw: names the augmentation; None for held-out images, which are not augmented.
        """


class ImageData(Protocol):
    """A labelled set of images in three disjoint slices that do not depend on any seed."""

    @property
    def num_classes(self) -> int:
        """Return the number of labels."""

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of images per slice: train, choose, target."""

    def describe(self) -> str:
        """Say what the data is, in words."""

    def problems(self) -> list[str]:
        """Return every problem with settings and files, each naming its key and the way out."""

    def fingerprint(self) -> str:
        """Return a hash of content and split."""

    def reader(self, which: Slice) -> ImageReader:
        """Open a slice."""


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


class TrainImages:
    """Endless training batches, addressed by position.

    Args:
        reader: the training slice.
        seed: fixes order and augmentation.
        phase: 0-based phase of the run.
        global_batch: images per optimizer step, over all ranks.
        micro_batch: images per call of `batch`; `micro_batch * world_size` divides `global_batch`.
        world_size: number of ranks; each owns one contiguous part of the global batch.
    """

    def __init__(
        self,
        reader: ImageReader,
        *,
        seed: int,
        phase: int,
        global_batch: int,
        micro_batch: int,
        world_size: int = 1,
    ) -> None:
        assert global_batch % (micro_batch * world_size) == 0, (global_batch, micro_batch, world_size)
        self.reader = reader
        self.order = EpochOrder(len(reader), seed, phase)
        self.seed = seed
        self.phase = phase
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.micro_batches = global_batch // (micro_batch * world_size)

    def batch(self, position: Position) -> Batch:
        """Return one micro-batch of CPU tensors."""
        assert position.phase == self.phase, (position, self.phase)
        first = (position.rank * self.micro_batches + position.micro) * self.micro_batch
        examples = self.order.examples(position.step * self.global_batch + first, self.micro_batch)
        return self.reader.read(
            examples, Draw(self.seed, self.phase, position.step, first, self.global_batch)
        )


class HeldOutImages:
    """A held-out slice in fixed batches; the last one may be smaller."""

    def __init__(self, reader: ImageReader, batch_size: int) -> None:
        self.reader = reader
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(reader) / batch_size)

    def batch(self, index: int) -> Batch:
        """Return batch `index` as CPU tensors."""
        first = index * self.batch_size
        return self.reader.read(torch.arange(first, min(first + self.batch_size, len(self.reader))), None)


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
