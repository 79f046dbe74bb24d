"""Everything that a run knows beside its engine: what checkpoints hold, rollbacks undo, and resumed runs go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autolrs_cli.contracts import AdaptiveSchedule, LossKind
from autolrs_cli.records.journal import Place
from autolrs_cli.search import SearchPolicy
from autolrs_cli.training.divergence import DivergenceWatch, RuledOut
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.outcome import Outcome
from autolrs_cli.training.target import TargetWatch


@dataclass
class TrainState:
    """The one owner of a run's state beside model, optimizer and random streams."""

    place: Place
    """Where the run is; the journal stamps it on every record."""
    ledger: Ledger
    watch: TargetWatch
    """Decides when the target is reached."""
    outcome: Outcome = field(default_factory=Outcome)
    untrained_loss: dict[LossKind, float] = field(default_factory=dict)
    """Loss of the initial weights: what a diverged trial is recognised by."""
    divergence: DivergenceWatch | None = None
    """Judges the kept steps of searched stages; None: only a loss that is not finite is an error."""
    adaptive: AdaptiveSchedule | None = None
    """The schedule, if it depends on how the run goes."""
    policy: SearchPolicy | None = None
    """Chooses LRs; None for a schedule that is not searched."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "step": self.place.step,
            "total_steps": self.place.total_steps,
            "ledger": self.ledger.state_dict(),
            "watch": self.watch.state_dict(),
            "outcome": self.outcome.as_json(),
            "untrained_loss": dict(self.untrained_loss),
            "divergence": self.divergence.state_dict() if self.divergence else None,
            "adaptive": self.adaptive.state_dict() if self.adaptive else None,
            "policy": self.policy.state_dict() if self.policy else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; what this process has charged to the ledger so far is added to it."""
        self.place.total_steps = state["total_steps"]
        self.ledger.load_state_dict(state["ledger"])
        self.untrained_loss.update(state["untrained_loss"])
        self._load_progress(state)

    def take_back(self, start: Mapping[str, Any], found: RuledOut) -> None:
        """Forget the kept steps since `start`, which diverged; what they cost stays, as cost of the search.

        Args:
            start: the `state_dict` at the start of the open stage.
            found: the divergence.
        """
        for bucket in ("training", "search_kept"):
            self.ledger.move(bucket, "search_discarded", start["ledger"])
        now = self.outcome
        self._load_progress(start)
        self.outcome.resumed, self.outcome.bit_exact = now.resumed, now.bit_exact
        self.outcome.ruled_out = [*now.ruled_out, found]
        if self.policy is not None:
            # The resume point of this step may be older than the stage: that of a warm-up's last step.
            self.policy.next_stage(self.place.step)
        self.outcome.notices = now.notices

    def _load_progress(self, state: Mapping[str, Any]) -> None:
        self.place.step = state["step"]
        self.watch.load_state_dict(state["watch"])
        self.outcome = Outcome.from_json(state["outcome"])
        for part, saved in (
            (self.divergence, state["divergence"]),
            (self.adaptive, state["adaptive"]),
            (self.policy, state["policy"]),
        ):
            if part is not None:
                part.load_state_dict(saved)
