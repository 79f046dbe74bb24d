"""How kept steps are cut, and by which loss and weights they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LossKind = Literal["train", "choose"]
"""`train`: the free training loss; `choose`: the loss on the held-out slice that picks LRs."""
WeightsKind = Literal["raw", "averaged"]


@dataclass(frozen=True)
class Segment:
    """Consecutive kept steps of one phase that follow a rule: a warm-up, a schedule, or one searched stage."""

    kind: Literal["warm_up", "schedule", "stage"]
    phase: int
    first_step: int
    """Kept step of the run, 0-based."""
    steps: int
    stage: int | None = None
    """0-based over the whole run; this and what follows are of searched stages alone."""
    trial_steps: int = 0
    """Of the longest trial that is planned; kept steps are judged in windows of this length."""
    objective: LossKind = "train"
    num_trials: int = 0
    """How many are planned at most."""

    @property
    def end(self) -> int:
        """The kept step after the last one."""
        return self.first_step + self.steps
