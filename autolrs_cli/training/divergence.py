"""When the kept steps of a searched stage count as diverged, and what is remembered of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autolrs_cli.contracts import Segment
from autolrs_cli.errors import TrainingDivergedError
from autolrs_cli.search import FailureRule
from autolrs_cli.search.ask_tell import Curve


@dataclass(frozen=True)
class RuledOut:
    """An LR that was chosen for a stage and made its training diverge."""

    stage: int
    lr: float
    step: int
    """Kept step at which it was found, 1-based; it was taken back."""
    reason: str


class DivergedError(TrainingDivergedError):
    """The kept steps of a searched stage diverged; the stage can be searched again."""

    def __init__(self, found: RuledOut) -> None:
        super().__init__(f"Stage {found.stage + 1} diverged at LR {found.lr:.4g}: {found.reason}.")
        self.found = found


class DivergenceWatch:
    """Judge kept steps as trials are judged, in windows as long as a trial of their stage.

    A loss that jumps and recovers within a window is left alone, as it is in a trial.

    Args:
        rule: what makes a trial a failed one.
    """

    def __init__(self, rule: FailureRule) -> None:
        self._rule = rule
        self._losses: list[float] = []

    def see(self, segment: Segment, step: int, lr: float, loss: float, untrained_loss: float) -> None:
        """Take in the training loss of kept step `step` (0-based).

        Raises:
            DivergedError: if it is not finite, or ends a window whose last losses lie far above `untrained_loss`.
        """
        assert segment.stage is not None
        done = step - segment.first_step + 1
        self._losses.append(loss)
        ends = done % segment.trial_steps == 0 or done == segment.steps
        if not ends and math.isfinite(loss):
            return
        numbers = range(done - len(self._losses) + 1, done + 1)
        failure = self._rule.check(Curve(numbers, self._losses, "train"), untrained_loss)
        self._losses = []
        if failure is not None:
            kind = failure.reason.replace("_", " ")
            reason = f"{kind}, {failure.detail}".replace("of the trial", "of the stage")
            raise DivergedError(RuledOut(segment.stage, lr, step + 1, reason))

    def state_dict(self) -> dict[str, Any]:
        """Return the losses of the open window, as JSON."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._losses = list(state["losses"])
