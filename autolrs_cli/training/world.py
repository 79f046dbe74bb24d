"""The processes that train one run together, as the loop sees them; with one process, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from torch import Tensor

from autolrs_cli.exit_codes import EndCause

T = TypeVar("T")


class Rider(Protocol):
    """What is agreed on once a step, in the step's own message."""

    def says(self) -> Sequence[float]:
        """Return what this process has to say, always as many numbers."""

    def hears(self, sums: Sequence[float]) -> None:
        """Take in the sums over all processes of what they said."""


class World:
    """Rank and agreement between processes. This one is alone: whatever it says is what all say.

    With several, every method but `carry` is called by all of them, at the same point of the run.
    """

    rank: int = 0
    """0-based; rank 0 chooses, and writes down what happens."""
    size: int = 1
    charged: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    """Opens the ledger's span that communication is charged to."""

    def step_sums(self, values: Sequence[float]) -> Sequence[float]:
        """Return the sums over all processes, in float64; riders go along."""
        return values

    def add_up(self, tensors: Sequence[Tensor]) -> None:  # noqa: ARG002 - nothing to add
        """Replace each tensor, on the device that is trained on, by its sum over all processes."""
        return

    def broadcast(self, said: T) -> T:
        """Return what rank 0 says."""
        return said

    def gather(self, said: T) -> list[T]:
        """Return what each process says, by rank."""
        return [said]

    def on_first(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, done on rank 0 alone; the others wait for it however long it takes."""
        return work()

    def leave(self, cause: EndCause, reason: str | None) -> None:
        """Agree on nothing any more; the others hear why this process ends, if they have not agreed on it."""

    def carry(self, rider: Rider) -> None:
        """Let `rider` go along with each step's message from now on."""
