"""What a search remembers of its trials, and its plain form for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from autolrs_cli.contracts import Failure, Forecast, Trial


@dataclass(frozen=True)
class TrialRecord:
    """A trial and what came of it: a forecast, or a failure."""

    trial: Trial
    forecast: Forecast | None = None
    failure: Failure | None = None

    @property
    def status(self) -> Literal["ok", "diverged"]:
        """Return `diverged` for a failed trial; its losses say nothing."""
        return "ok" if self.failure is None else "diverged"

    def state_dict(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TrialRecord:
        """Rebuild the record; floats return bit for bit."""
        forecast, failure = state["forecast"], state["failure"]
        return cls(
            trial=Trial(**state["trial"]),
            forecast=None
            if forecast is None
            else Forecast(forecast["mean"], forecast["std"], tuple(forecast["flags"])),
            failure=None if failure is None else Failure(**failure),
        )
