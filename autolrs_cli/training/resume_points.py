"""When a run writes resume points, and what they hold beside the engine's state."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal
from autolrs_cli.training.checkpoint import Checkpoint, Checkpoints
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.train_state import TrainState
from autolrs_cli.training.weights import LastCheckpoints


class ResumePoints:
    """Writes the engine's and the run's state between two kept steps.

    Args:
        checkpoints: where they go.
        engine, state, journal: what is written, and how far the journal goes with it.
        kept_weights: weights that are kept beside: for their mean, or as the best; those that no resume point needs are
            dropped.
        every_seconds: of training between two, beside one at the start of each searched stage.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        engine: Engine,
        state: TrainState,
        journal: Journal,
        kept_weights: Sequence[LastCheckpoints] = (),
        every_seconds: float = math.inf,
    ) -> None:
        self._checkpoints = checkpoints
        self._engine = engine
        self._state = state
        self._journal = journal
        self._kept_weights = tuple(kept_weights)
        self._every_seconds = every_seconds
        self._written_at = time.perf_counter()
        self._open_step: int | None = None
        self._opened: dict[str, Any] | None = None
        self._went_back = False

    def write(self) -> None:
        """Write a resume point of the run as it is.

        Raises:
            TrainingError: if it cannot be written.
        """
        step = self._state.place.step
        with self._state.ledger.span("checkpoint"):
            state = self._engine.state()
            state.values["run"] = {
                **self._state.state_dict(),
                "t": self._journal.t,
                "journal_bytes": self._journal.mark(),
            }
            self._checkpoints.write(step, state, keep=self._open_step, replace=self._went_back)
            self._went_back = False
            for weights in self._kept_weights:
                weights.prune(self._checkpoints.steps()[0])
        self._journal.write(events.CheckpointEvent(self._state.ledger.totals()))
        self._written_at = time.perf_counter()

    @property
    def last_step(self) -> int:
        """Kept steps at the last resume point; 0: there is none."""
        return max(self._checkpoints.steps(), default=0)

    def write_or_warn(self) -> None:
        """Write a resume point; where that fails, say so and go on: the one before it stays good."""
        try:
            self.write()
        except TrainingError as error:
            self._written_at = time.perf_counter()
            message = (
                f"{error} Training goes on; until then, it can be resumed from the checkpoint before only."
            )
            self._journal.write(events.Warned(message))

    @property
    def are_due(self) -> bool:
        """Whether the last one is old enough."""
        return time.perf_counter() - self._written_at >= self._every_seconds

    def write_if_due(self) -> None:
        """Write a resume point if the last one is old enough."""
        if self.are_due:
            self.write_or_warn()

    def write_at_the_end(self) -> None:
        """Write a resume point of a run that was asked to stop.

        Not at the start of a stage that has been or is being searched: its own, from before the search, and the
        search's state in the journal are what the run goes on from.
        """
        if self._state.place.step != self._open_step:
            with suppress(TrainingError):
                self.write_or_warn()

    def open_stage(self) -> None:
        """Remember the start of a searched stage, on disk too: it may be gone back to."""
        self._open_step = self._state.place.step
        # By value: what others return may be what they go on changing.
        self._opened = copy.deepcopy(self._state.state_dict())
        self.write_or_warn()

    def reopen_stage(self, first_step: int) -> None:
        """Go on with a stage that an earlier process opened."""
        if self._open_step != first_step:
            self._open_step, self._opened = first_step, None

    def stage_start(self) -> Mapping[str, Any] | None:
        """Return the run's state at the start of the open stage; None if it is neither in memory nor on the disk."""
        if self._opened is None:
            stored = self.stored_start()
            self._opened = None if stored is None else stored.values["run"]
        return self._opened

    def stored_start(self) -> Checkpoint | None:
        """Read the start of the open stage; None if it was not written, or cannot be read."""
        if self._open_step not in self._checkpoints.steps():
            return None
        with suppress(TrainingError, ConfigError):
            return self._checkpoints.read_at(self._open_step)
        return None

    def went_back(self) -> None:
        """Take note that the run went back: resume points of later steps, and one of this step, no longer count."""
        self._went_back = True
        for weights in self._kept_weights:
            weights.drop_after(self._state.place.step)

    def forget(self) -> None:
        """Drop what only a run that goes on needs; the weights of the last checkpoints stay."""
        self._checkpoints.forget()
        for weights in self._kept_weights:
            weights.prune(self._state.place.step)
