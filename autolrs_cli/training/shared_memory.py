"""The memory that loader workers hand batches over in: whether it is large enough, known before training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from autolrs_cli.contracts import Batch
from autolrs_cli.errors import ConfigError, TrainingError

FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux has it
PREFETCH = 2
"""Micro-batches that each worker holds ready."""
PACKED_BYTES = 1 << 20
"""Batches up to this size travel through a pipe; larger ones (images) in shared memory, without a copy."""
# One is in use while the next is taken.
_IN_USE = 2
_WAY_OUT = (
    "Set runtime.workers=0, which needs none, or a lower runtime.workers or micro-batch; or give the container more: "
    "docker run --shm-size=8g"
)


def travels_in_pipe(batch: Batch) -> bool:
    """Tell whether a batch is so small, and so plain, that it is sent as arrays."""
    small = sum(tensor.nbytes for tensor in batch.values()) <= PACKED_BYTES
    return small and all(t.is_contiguous() and t.dtype != torch.bfloat16 for t in batch.values())


def free_bytes() -> int | None:
    """Return what is left of shared memory; None where it is no folder that can be asked."""
    try:
        found = os.statvfs(FOLDER)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def require_room(train: Batch, held_out: Sequence[Batch], workers: int) -> None:
    """Check that shared memory holds what the workers of a run have ready at a time.

    Args:
        train: a micro-batch of the training stream.
        held_out: a batch of each held-out slice; these are read while training batches are ready, one after another.
        workers: of each loader.

    Raises:
        ConfigError: if it does not.
    """
    free = free_bytes()
    if free is None or workers == 0:
        return
    largest = max(map(_shared_bytes, held_out), default=0)
    needed = (workers * PREFETCH + _IN_USE) * (_shared_bytes(train) + largest)
    if needed <= free:
        return
    raise ConfigError(
        f"Loader workers hand batches over in shared memory, which must hold {workers * PREFETCH + _IN_USE} of them "
        f"({_mib(needed)}: {_mib(_shared_bytes(train))} each to train on, up to {_mib(largest)} held out), but "
        f"{FOLDER} has {_mib(free)} left. {_WAY_OUT}"
    )


def shared(batch: Batch) -> Batch:
    """Move a worker's batch into shared memory, here and now.

    Left to the queue, it happens in a thread of the worker, which drops what does not fit: the training process would
    wait for it for ever.

    Raises:
        TrainingError: if it does not fit.
    """
    try:
        return {name: _shared(tensor) for name, tensor in batch.items()}
    except (RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"A loader worker must find shared memory for its batch ({_mib(_shared_bytes(batch))}), but did not: "
            f"{reason}. {_WAY_OUT}"
        ) from error


def _shared(tensor: Tensor) -> Tensor:
    moved: Tensor = tensor.detach().share_memory_()  # type: ignore[no-untyped-call]
    return moved


def _shared_bytes(batch: Batch) -> int:
    return 0 if travels_in_pipe(batch) else sum(tensor.nbytes for tensor in batch.values())


def _mib(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
