"""Schedules that rise more than once, or rise for long: SGDR, cyclical LR, and one-cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from autolrs_cli.contracts import Cycle
from autolrs_cli.schedules.basic import linear_warmup
from autolrs_cli.schedules.checks import floor_problems
from autolrs_cli.values import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    checked,
)


@checked
@dataclass(frozen=True)
class WarmRestarts:
    """SGDR: half a cosine per cycle, each cycle `period_factor` times as long (Loshchilov & Hutter 2017, Eq. 5).

    lr = min_lr + (peak_lr - min_lr) * (1 + cos(pi * t / T_i)) / 2, with t steps into cycle i, T_0 = first_period_steps
    and T_i = period_factor * T_(i-1).

    Args:
        peak_lr: LR at the start of each cycle.
        min_lr: LR that each cycle decays to.
        first_period_steps: length of the first cycle.
        period_factor: a whole number, 1 or more.
        warmup_steps: linear warm-up before the first cycle; the paper has none.
    """

    peak_lr: PositiveFloat
    min_lr: NonNegativeFloat
    first_period_steps: PositiveInt
    period_factor: PositiveInt
    warmup_steps: NonNegativeInt

    decays: ClassVar[bool] = False
    cycle: ClassVar[Cycle] = Cycle("first_period_steps", growth="period_factor", warmup="warmup_steps")

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        at, period = step - self.warmup_steps, self.first_period_steps
        if self.period_factor == 1:
            at %= period
        while at >= period:
            at -= period
            period *= self.period_factor
        return self.min_lr + (self.peak_lr - self.min_lr) * (1 + math.cos(math.pi * at / period)) / 2

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        return floor_problems("min_lr", self.min_lr, self.peak_lr, at)


@checked
@dataclass(frozen=True)
class Cyclical:
    """CLR: straight up and down between two LRs (Smith 2017, arXiv 1506.01186, Sec. 3).

    With cycle c = 1 + floor(step / (2 * half_period_steps)) and x = |step / half_period_steps - 2c + 1|, the height
    over min_lr is (peak_lr - min_lr) * (1 - x), times 2^-(c-1) for "triangular2", times decay^step for "exp_range".

    Args:
        peak_lr: upper bound of the first cycle.
        min_lr: lower bound of every cycle, above 0: at 0 its first step would train nothing.
        half_period_steps: from one bound to the other ("stepsize" in the paper).
        mode: how the upper bound changes.
        decay: per step, in (0, 1]; used by "exp_range" alone.
    """

    peak_lr: PositiveFloat
    min_lr: PositiveFloat
    half_period_steps: PositiveInt
    mode: Literal["triangular", "triangular2", "exp_range"]
    decay: PositiveFraction

    decays: ClassVar[bool] = False
    cycle: ClassVar[Cycle] = Cycle("half_period_steps", parts=2, continuous=True)

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        cycle = 1 + step // (2 * self.half_period_steps)
        height = 1 - abs(step / self.half_period_steps - 2 * cycle + 1)
        if self.mode == "triangular2":
            height *= 2.0 ** (1 - cycle)
        elif self.mode == "exp_range":
            height *= self.decay**step
        return self.min_lr + (self.peak_lr - self.min_lr) * height

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        return floor_problems("min_lr", self.min_lr, self.peak_lr, at)


@checked
@dataclass(frozen=True)
class OneCycle:
    """One rise and one long fall, both half a cosine (Smith & Topin 2018, arXiv 1708.07120; fast.ai's shape).

    Up from peak_lr / start_divisor in `rise_share` of the run, then down to that divided by final_divisor; at the
    last step it is there, as in PyTorch's OneCycleLR. Momentum is left alone.

    Args:
        peak_lr: the highest LR.
        max_steps: length of the run.
        rise_share: share of the run that rises.
        start_divisor: above 1.
        final_divisor: 1 or more.
    """

    peak_lr: PositiveFloat
    max_steps: PositiveInt
    rise_share: PositiveFraction
    start_divisor: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)]
    final_divisor: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)]

    decays: ClassVar[bool] = True

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        start = self.peak_lr / self.start_divisor
        top = self.rise_share * self.max_steps - 1
        if step <= top:
            return _between(start, self.peak_lr, step / top)
        progress = min(1.0, (step - top) / (self.max_steps - 1 - top))
        return _between(self.peak_lr, start / self.final_divisor, progress)

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        rise = self.rise_share * self.max_steps
        if 1 < rise < self.max_steps:
            return []
        return [
            f"Rise and fall must each have a step or more, but got {at}.rise_share={self.rise_share} of "
            f"run.max_steps={self.max_steps}. Set {at}.rise_share."
        ]


def _between(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
