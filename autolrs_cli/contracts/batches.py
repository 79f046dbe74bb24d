"""Batches of data, and the streams that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


Batch: TypeAlias = "dict[str, Tensor]"


class PlacedBatch(dict[str, "Tensor"]):
    """A batch on another device than the CPU, which remembers what it was copied from.

    Args:
        placed: the tensors on their device.
        host: the same on the CPU.
    """

    def __init__(self, placed: Batch, host: Batch) -> None:
        super().__init__(placed)
        self.host = host


def kept(batch: Batch) -> Batch:
    """Return a batch that stays for long: what it was copied from does not stay pinned, which would lock memory."""
    if not isinstance(batch, PlacedBatch):
        return batch
    return PlacedBatch(batch, {name: tensor.clone() for name, tensor in batch.host.items()})


def on_host(batch: Batch) -> Batch:
    """Return the batch on the CPU, where it can be counted without waiting for the device."""
    return batch.host if isinstance(batch, PlacedBatch) else batch


@dataclass(frozen=True)
class Position:
    """Where in the training data: batch content is a function of the seed and this, and of nothing else."""

    phase: int
    step: int
    """Optimizer step counted from the start of the phase, 0-based."""
    micro: int
    """Micro-batch within the step, 0-based."""
    rank: int = 0


class TrainStream(Protocol):
    """Endless training batches, addressed by position; must be picklable for loader workers.

    Reading must neither draw from nor change the process's global random state: the same stream is read by
    zero or more workers, and the model's dropout draws from that state.
    """

    micro_batches: int
    """Micro-batches per optimizer step on this rank."""

    def batch(self, position: Position) -> Batch:
        """Return one micro-batch of CPU tensors."""


class EvalStream(Protocol):
    """A finite, fixed sequence of held-out batches."""

    num_batches: int

    def batch(self, index: int) -> Batch:
        """Return batch `index`, 0 <= index < num_batches, as CPU tensors."""


@runtime_checkable
class Noticing(Protocol):
    """A stream, or what it reads with, that has something to say: an image that was replaced by another."""

    def notices(self) -> list[str]:
        """Return what was noticed since the last call, in words: the same words for the same thing."""
