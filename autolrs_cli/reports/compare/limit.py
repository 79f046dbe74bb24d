"""The practical limit: the fewest steps that a schedule out of a grid needed to the target, known in hindsight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.time_to_target import Goal

KIND = "limit"


@dataclass(frozen=True)
class PracticalLimit:
    """What a grid of schedules found on a seed that nothing else has seen. A yardstick, never a setting."""

    metric: str
    target: float
    data_fingerprint: str
    schedule: str
    """Which schedule of the grid needed the fewest steps, with its averaging."""
    peak_lr: float
    times_original: float
    """That peak over the original schedule's."""
    steps: float
    """The fewest steps to the target."""
    length: int
    """Length of that run, in steps."""
    seed: int
    runs: int
    """How many runs the grid took."""
    total_steps: int
    """How many optimizer steps they made."""
    grid: str
    """What was tried, in words."""

    def is_of(self, goal: Goal, data_fingerprint: object) -> bool:
        """Return whether it was measured against this target, on these data."""
        return (self.metric, self.target, self.data_fingerprint) == (
            goal.metric,
            goal.value,
            data_fingerprint,
        )

    def multiple(self, steps: float) -> float:
        """Return how many times as many steps these are."""
        return steps / self.steps

    def __str__(self) -> str:
        """What was found, how dear it was, and what it may not be used for."""
        return (
            f"the practical limit, in hindsight: {self.steps:,.0f} steps to the target, by {self.schedule} at "
            f"{self.times_original:g}x the original's peak (peak_lr={self.peak_lr:.4g}) over {self.length:,} steps. "
            f"It took {self.runs} runs ({self.total_steps:,} steps) on seed {self.seed}: {self.grid}. Nobody may tune "
            "on it: it is a yardstick for what a schedule can do with this optimizer, never a setting."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it for a file or an archive."""
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PracticalLimit:
        """Return what `to_json` returned.

        Raises:
            ConfigError: if it is damaged.
        """
        try:
            kinds = {"str": str, "float": float, "int": int}
            found = {name: kinds[str(f.type)](record[name]) for name, f in cls.__dataclass_fields__.items()}
            if not found["steps"] > 0:
                raise ValueError("steps must be above 0")
            return cls(**found)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"What a grid found must be whole, but it is damaged: {error!r}. Remove it and measure it again: "
                "autolrs reproduce RECIPE --hindsight"
            ) from error
