"""Batches on the device that is trained on: copied there ahead of time, while it still computes.

On the CPU a batch is where it belongs, and nothing here does anything. For CUDA, a batch is pinned (unless the loader's
thread did that) and copied on a stream of its own, so that the copy neither waits for the step that is being computed
nor is waited for by it; the stream that computes waits for the copy when the batch is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autolrs_cli.contracts import Batch, PlacedBatch


@dataclass(frozen=True)
class Moving:
    """A batch on its way to the device."""

    batch: Batch
    copied: torch.cuda.Event | None = None
    """When it has arrived; None: it is there."""


class Placing:
    """Moves batches to a device.

    Args:
        device: where they go.
        shaped: what is made of a batch before; it stays on the CPU.
    """

    def __init__(self, device: torch.device, shaped: Callable[[Batch], Batch] = lambda batch: batch) -> None:
        self._device = device
        self._shaped = shaped
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @property
    def is_ahead(self) -> bool:
        """Whether it is of use to move a batch before it is asked for."""
        return self._stream is not None

    def begin(self, batch: Batch) -> Moving:
        """Begin to move a batch, and return at once."""
        batch = self._shaped(batch)
        if self._stream is None:
            return Moving(batch)
        host = {name: _pinned(tensor) for name, tensor in batch.items()}
        with torch.cuda.stream(self._stream):
            moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in host.items()}
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record(self._stream)
        return Moving(PlacedBatch(moved, host), copied)

    def finish(self, moving: Moving) -> Batch:
        """Return the batch; what is queued for the device from now on finds it there."""
        if moving.copied is not None:
            now = torch.cuda.current_stream(self._device)
            now.wait_event(moving.copied)
            for tensor in moving.batch.values():
                # It was allocated on the other stream, which must not use its memory anew before this one is done.
                tensor.record_stream(now)
        return moving.batch

    def place(self, batch: Batch) -> Batch:
        """Move a batch that is needed now."""
        return self.finish(self.begin(batch))


def _pinned(tensor: Tensor) -> Tensor:
    """Return a tensor that can be copied while the CPU goes on; strides (memory formats) stay."""
    return tensor if tensor.is_pinned() else tensor.pin_memory()
