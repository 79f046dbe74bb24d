"""One `seed` feeds named random streams, so that no draw in one place shifts the draws of another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream called `names` of the run's `seed`.

    SHA-256 of the joined names, so that the same names give the same stream on every platform and version.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator at the start of the stream called `names`."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *names))


@contextmanager
def isolated(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block on the stream called `names`, leaving torch's global CPU random state as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed CUDA too, which this fork does not bring back.
        torch.default_generator.manual_seed(derive_seed(seed, *names))
        yield
