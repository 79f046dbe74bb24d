"""Warm-up, constant LR and step decay."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from autolrs_cli.schedules.checks import floor_problems, length_problems
from autolrs_cli.values import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    checked,
)


def linear_warmup(step: int, warmup_steps: int, peak_lr: float, start_lr: float = 0.0) -> float:
    """Return start + (peak - start) * (step + 1) / warmup_steps: the last step of the warm-up is at the peak.

    Args:
        step: 0-based, below `warmup_steps`.
        warmup_steps: at least 1.
        peak_lr: LR of step `warmup_steps - 1`.
        start_lr: LR that the line starts from, one step before the first.
    """
    return start_lr + (peak_lr - start_lr) * (step + 1) / warmup_steps


@checked
@dataclass(frozen=True)
class LinearWarmup:
    """A linear warm-up and nothing after it: what precedes the stages of a search.

    Args:
        peak_lr: LR of the last step.
        warmup_steps: number of steps; 0: there is none, and no LR to ask for.
    """

    peak_lr: PositiveFloat
    warmup_steps: NonNegativeInt

    decays: ClassVar[bool] = False

    def lr(self, step: int) -> float:
        """Return the base LR of `step`, 0 <= step < `warmup_steps`.

        Raises:
            ValueError: the warm-up is over; what comes then, it does not know.
        """
        if not 0 <= step < self.warmup_steps:
            raise ValueError(f"A warm-up of {self.warmup_steps} steps has no LR for step {step}.")
        return linear_warmup(step, self.warmup_steps, self.peak_lr)

    def problems(self, at: str) -> list[str]:  # noqa: ARG002 - there is no rule across the settings
        """Return no problem."""
        return []


@checked
@dataclass(frozen=True)
class Constant:
    """One LR throughout, after a linear warm-up."""

    peak_lr: PositiveFloat
    warmup_steps: NonNegativeInt

    decays: ClassVar[bool] = False

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self.peak_lr

    def problems(self, at: str) -> list[str]:  # noqa: ARG002 - there is no rule across the settings
        """Return no problem."""
        return []


@checked
@dataclass(frozen=True)
class WarmupStepDecay:
    """Linear warm-up to `peak_lr`, then times `factor` at each milestone (Goyal et al. 2017, Sec. 5.1).

    Args:
        peak_lr: LR after the warm-up.
        max_steps: length of the run.
        warmup_steps: length of the warm-up.
        warmup_start_lr: LR that the warm-up starts from.
        milestones: ascending shares of `max_steps` at which the LR is multiplied, each in (0, 1).
        factor: what it is multiplied by.
    """

    peak_lr: PositiveFloat
    max_steps: PositiveInt
    warmup_steps: NonNegativeInt
    warmup_start_lr: NonNegativeFloat
    milestones: Sequence[ProperFraction]
    factor: ProperFraction

    decays: ClassVar[bool] = True

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr, self.warmup_start_lr)
        steps = [round(share * self.max_steps) for share in self.milestones]
        return float(self.peak_lr * self.factor ** bisect_right(steps, step))

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        problems = [
            *floor_problems("warmup_start_lr", self.warmup_start_lr, self.peak_lr, at),
            *length_problems(self.warmup_steps, self.max_steps, at),
        ]
        shares = list(self.milestones)
        if shares != sorted(set(shares)):
            problems.append(
                f"`milestones` must ascend, but got {at}.milestones={shares}. Set {at}.milestones."
            )
        return problems
