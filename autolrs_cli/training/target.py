"""When a target counts as reached: not by one lucky evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from autolrs_cli.contracts import Target


@dataclass(frozen=True)
class Sighting:
    """An evaluation at or past the target."""

    step: int
    total_steps: int
    t: float


class TargetWatch:
    """Two consecutive evaluations at or past the target, or the last one alone (method rule 4).

    Args:
        target: what to watch for; None watches for nothing.
    """

    def __init__(self, target: Target | None) -> None:
        self.target = target
        self.reached: Sighting | None = None
        self._candidate: Sighting | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far, as JSON."""
        return {
            "reached": asdict(self.reached) if self.reached else None,
            "candidate": asdict(self._candidate) if self._candidate else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.reached = Sighting(**state["reached"]) if state["reached"] else None
        self._candidate = Sighting(**state["candidate"]) if state["candidate"] else None

    def see(self, metrics: dict[str, float], now: Sighting, *, last: bool) -> bool:
        """Take one evaluation in; return True when it makes the target reached.

        The target then counts as reached at the first of the two evaluations.
        """
        if self.target is None or self.reached is not None or self.target.metric not in metrics:
            return False  # a metric of full evaluations is not in the others
        if not self._past(metrics[self.target.metric]):
            self._candidate = None
            return False
        confirmed = self._candidate is not None or last
        self._candidate = self._candidate or now
        if confirmed:
            self.reached = self._candidate
        return confirmed

    def _past(self, value: float) -> bool:
        assert self.target is not None
        return value >= self.target.value if self.target.direction == "max" else value <= self.target.value
