"""The parts of a run that are other ones where several processes train together.

Every process has all of them and does the same at the same point; rank 0 alone reads and writes the run directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.events import Event
from autolrs_cli.records.journal import Journal, Place
from autolrs_cli.training.checkpoint import Checkpoint
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.engine_state import living_tensors
from autolrs_cli.training.evaluation import Evaluation, Evaluator
from autolrs_cli.training.resume_points import ResumePoints
from autolrs_cli.training.weights import LastCheckpoints

_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class UnwrittenJournal(Journal):
    """The journal of a process that writes none."""

    def __init__(self, started: float) -> None:
        self.place = Place()
        self._started = started

    def write(self, event: Event) -> None:
        """Do nothing: rank 0 writes it."""

    def mark(self) -> int:
        """Return nothing of use."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class UnkeptWeights(LastCheckpoints):
    """Weights that are kept by rank 0 alone."""

    def keep(self, model: nn.Module, step: int) -> None:
        """Do nothing: rank 0 writes them."""

    def prune(self, resumable_step: int) -> None:
        """Do nothing."""

    def drop_after(self, step: int) -> None:
        """Do nothing."""

    def steps(self) -> list[int]:
        """Return none."""
        return []


class SharedEvaluator(Evaluator):
    """Slices are shared out; what cannot be, decoding, rank 0 does while the others wait.

    Args:
        notices: what was noticed by this process so far.
        others: as for `Evaluator`.
    """

    def __init__(
        self, engine: Engine, *others: Any, notices: Callable[[], Sequence[str]], **named: Any
    ) -> None:
        super().__init__(engine, *others, **named)
        self._world = engine.world
        self._notices = notices

    def evaluate(self, step: int, *, full: bool) -> Evaluation:
        """Measure the slice that decides targets, and hear what other processes noticed of their data."""
        found = super().evaluate(step, full=full)
        for said in self._world.gather(list(self._notices())):
            for notice in said:
                self._notice(notice)
        return found

    def judged(self, metric: str, found: Evaluation, step: int, *, last: bool) -> nn.Module:
        """Return the model whose `metric` was just measured, where it is written down."""
        return super().judged(metric, found, step, last=last) if self._world.rank == 0 else self._engine.model

    def _measure_fully(self, step: int, *, last: bool) -> tuple[dict[str, float], dict[str, str]]:
        work = super()._measure_fully
        return self._world.on_first(lambda: work(step, last=last))


class SharedResumePoints(ResumePoints):
    """Rank 0 writes; all hand in their random streams, and make sure that they still hold the same weights.

    A `Rider` of each step's message: when one is due, rank 0's clock says.
    """

    def __init__(self, *others: Any, **named: Any) -> None:
        super().__init__(*others, **named)
        self._world = self._engine.world
        self._is_due = False

    def says(self) -> list[float]:
        """Return whether rank 0 finds the last resume point old enough."""
        return [float(self._world.rank == 0 and super().are_due)]

    def hears(self, sums: Sequence[float]) -> None:
        """Take in what rank 0 found."""
        self._is_due = sums[0] > 0

    @property
    def are_due(self) -> bool:
        """Whether all know that the last one is old enough."""
        return self._is_due

    def write(self) -> None:
        """Write a resume point of the run as it is.

        Raises:
            TrainingError: if it cannot be written.
        """
        self._is_due = False
        require_same_state(self._engine)
        if self._world.rank == 0:
            super().write()
        else:
            with self._state.ledger.span("checkpoint"):
                self._engine.share_streams()

    def stored_start(self) -> Checkpoint | None:
        """Let rank 0 read the start of the open stage."""
        return self._world.broadcast(super().stored_start() if self._world.rank == 0 else None)

    @property
    def last_step(self) -> int:
        """Kept steps at the last resume point, where it is written; 0 elsewhere."""
        return super().last_step if self._world.rank == 0 else 0


def require_same_state(engine: Engine) -> None:
    """Check that all processes hold the same weights and buffers, bit for bit.

    Raises:
        ConfigError: if they do not.
    """
    world = engine.world
    if world.size == 1:
        return
    sums = world.gather({name: _checksum(t) for name, t in living_tensors(engine.model, engine.averaged)})
    for rank, other in enumerate(sums):
        if other != sums[0]:
            odd = [name for name in sums[0] if other.get(name) != sums[0][name]]
            raise ConfigError(
                f"All {world.size} processes of a run must hold the same weights, but process {rank} has another "
                f"{', '.join(odd[:3])}{' and more' if len(odd) > 3 else ''}. If it is a buffer that the model changes "
                "while it trains, beside BatchNorm's, the model cannot be shared out: train it on one process. Else "
                "see that all machines have the same libraries, code and files."
            )


def _checksum(tensor: Tensor) -> int:
    """Return the sum of a tensor's bits, taken as whole numbers."""
    flat = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    if flat.dtype is torch.bool:
        return int(flat.sum())
    return int(flat.contiguous().view(_WHOLE[flat.itemsize]).sum(dtype=torch.int64))
