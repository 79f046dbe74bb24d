"""What a run has to show, as it goes into checkpoints and the summary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autolrs_cli.records import events
from autolrs_cli.records.run_directory import LrSpan, ScheduleLog
from autolrs_cli.training.best_weights import Best
from autolrs_cli.training.divergence import RuledOut


@dataclass
class Outcome:
    """What a run has to show so far."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Of the latest evaluation of the target slice, with the weights that decide: averaged ones if there are."""
    raw_metrics: dict[str, float] = field(default_factory=dict)
    """The same with raw weights, where averaged ones decide."""
    notes: dict[str, str] = field(default_factory=dict)
    """How metrics of the latest full evaluation were computed."""
    schedule: ScheduleLog = field(default_factory=ScheduleLog)
    chosen: list[events.LrChosen] = field(default_factory=list)
    examples: int = 0
    """Seen in kept steps."""
    resumed: int = 0
    """How often the run went on in a new process."""
    bit_exact: bool = True
    """False once it went on with other libraries, code or hardware than it began with."""
    ruled_out: list[RuledOut] = field(default_factory=list)
    """LRs whose stages diverged, were taken back, and were searched again."""
    notices: list[str] = field(default_factory=list)
    """What streams had to say of their batches, each once: images that were replaced."""

    best: Best | None = None
    """The best evaluation, where its weights are kept."""
    initial_weights: str | None = None
    """Hash of the weights of another run that this one started from."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as strict JSON types."""
        return {
            "metrics": {name: finite(value) for name, value in self.metrics.items()},
            "raw_metrics": {name: finite(value) for name, value in self.raw_metrics.items()},
            "notes": self.notes,
            "schedule": [list(span) for span in self.schedule.spans],
            "chosen": [asdict(chosen) for chosen in self.chosen],
            "examples": self.examples,
            "resumed": self.resumed,
            "bit_exact": self.bit_exact,
            "ruled_out": [asdict(each) for each in self.ruled_out],
            "notices": self.notices,
            "best": None if self.best is None else asdict(self.best),
            "initial_weights": self.initial_weights,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Outcome:
        """Return what `as_json` was made of."""
        return cls(
            metrics=saved["metrics"],
            raw_metrics=saved["raw_metrics"],
            notes=saved["notes"],
            schedule=ScheduleLog([LrSpan(*span) for span in saved["schedule"]]),
            chosen=[events.LrChosen(**{**c, "flags": tuple(c["flags"])}) for c in saved["chosen"]],
            examples=saved["examples"],
            resumed=saved["resumed"],
            bit_exact=saved["bit_exact"],
            ruled_out=[RuledOut(**each) for each in saved["ruled_out"]],
            notices=list(saved.get("notices", ())),
            best=Best(**saved["best"]) if saved.get("best") else None,
            initial_weights=saved.get("initial_weights"),
        )


def finite(value: float | None) -> float | None:
    """Return `value`, or None where strict JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None
