"""What all image data share: streams of images addressed by position.

Example number `n = step * global_batch + place` of a phase belongs to epoch `n // N` (N training images)
and is entry `n % N` of that epoch's permutation. Order and augmentation are functions of (seed, phase, step,
place), so a batch holds the same pixels for any micro-batch size, number of ranks, and number of workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from autolrs_cli.contracts import Batch, Noticing, Position
from autolrs_recipes.data.epoch_order import EpochOrder

if TYPE_CHECKING:
    pass

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
        self._noticing = reader if isinstance(reader, Noticing) else None
        self.order = EpochOrder(len(reader), seed, phase)
        self.seed = seed
        self.phase = phase
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.micro_batches = global_batch // (micro_batch * world_size)

    def notices(self) -> list[str]:
        """Return what the reader noticed since the last call."""
        return self._noticing.notices() if self._noticing is not None else []

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
        self._noticing = reader if isinstance(reader, Noticing) else None
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(reader) / batch_size)

    def notices(self) -> list[str]:
        """Return what the reader noticed since the last call."""
        return self._noticing.notices() if self._noticing is not None else []

    def batch(self, index: int) -> Batch:
        """Return batch `index` as CPU tensors."""
        first = index * self.batch_size
        return self.reader.read(torch.arange(first, min(first + self.batch_size, len(self.reader))), None)
