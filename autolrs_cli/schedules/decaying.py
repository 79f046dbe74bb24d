"""Schedules that decay by a formula: inverse square root, linear, polynomial, cosine, and warm-up-stable-decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from autolrs_cli.schedules.basic import linear_warmup
from autolrs_cli.schedules.checks import floor_problems, length_problems
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
class InverseSquareRoot:
    """Linear warm-up, then decay with the inverse square root of the step (Vaswani et al. 2017, Eq. 3).

    With n = step + 1: peak_lr * min(n / warmup_steps, sqrt(warmup_steps / n)), which is the paper's
    d_model^-0.5 * min(n^-0.5, n * warmup_steps^-1.5) for peak_lr = (d_model * warmup_steps)^-0.5.

    Args:
        peak_lr: LR at the end of the warm-up.
        warmup_steps: at least 1.
    """

    peak_lr: PositiveFloat
    warmup_steps: PositiveInt

    decays: ClassVar[bool] = False  # it knows no end of the run

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self.peak_lr * math.sqrt(self.warmup_steps / (step + 1))

    def problems(self, at: str) -> list[str]:  # noqa: ARG002 - there is no rule across the settings
        """Return no problem."""
        return []


@checked
@dataclass(frozen=True)
class InverseSquareRootAnytime:
    """Linear warm-up, `peak_lr` up to a knee, then the inverse square root: for runs read by averaged weights.

    With n = step + 1 and the knee at k = knee_warmups * warmup_steps: peak_lr * min(n / warmup_steps, 1, sqrt(k / n)).
    It needs no end of the run, since averaging does what a decay to zero would do (Meterez et al. 2026, arXiv
    2602.03702). There the factor is sqrt(a / (t + a)): the same far from the knee, but a rounded one.

    Args:
        peak_lr: LR from the end of the warm-up to the knee.
        warmup_steps: at least 1.
        knee_warmups: where the knee is, in lengths of the warm-up; 1: `InverseSquareRoot`.
    """

    peak_lr: PositiveFloat
    warmup_steps: PositiveInt
    knee_warmups: PositiveFloat

    decays: ClassVar[bool] = False  # it knows no end of the run

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self.peak_lr * math.sqrt(min(1.0, self.knee_warmups * self.warmup_steps / (step + 1)))

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        if self.knee_warmups >= 1:
            return []
        return [
            f"The knee must not come before the warm-up's end, but got {at}.knee_warmups={self.knee_warmups}. "
            f"Set {at}.knee_warmups to 1 or more."
        ]


@dataclass(frozen=True)
class _Decay:
    """Linear warm-up, then decay from `peak_lr` to `final_lr` at the end of the run.

    After the warm-up, step s has progress p = (s - warmup_steps) / (max_steps - warmup_steps), which is below 1 in
    the run, so that no step is trained at `final_lr` = 0.

    Args:
        peak_lr: LR at the end of the warm-up.
        max_steps: length of the run, over which the LR is fully decayed.
        warmup_steps: length of the warm-up.
        final_lr: what the LR decays to.
    """

    peak_lr: PositiveFloat
    max_steps: PositiveInt
    warmup_steps: NonNegativeInt
    final_lr: NonNegativeFloat

    decays: ClassVar[bool] = True

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        progress = (step - self.warmup_steps) / (self.max_steps - self.warmup_steps)
        return self.final_lr + (self.peak_lr - self.final_lr) * self._left(min(1.0, progress))

    def _left(self, progress: float) -> float:
        """Return how much of the way down is still to go, in [0, 1], at `progress` in [0, 1]."""
        raise NotImplementedError

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        return [
            *length_problems(self.warmup_steps, self.max_steps, at),
            *floor_problems("final_lr", self.final_lr, self.peak_lr, at),
        ]


@checked
@dataclass(frozen=True)
class LinearDecay(_Decay):
    """Linear warm-up, then linear decay (Devlin et al. 2019, A.2).

    As transformers' `get_linear_schedule_with_warmup`. BERT's public code decays from step 0 on, so that its LR
    drops by warmup_steps / max_steps (1 % as published) when the warm-up ends; here it does not.
    """

    def _left(self, progress: float) -> float:
        return 1 - progress


@checked
@dataclass(frozen=True)
class PolynomialDecay(_Decay):
    """Linear warm-up, then (1 - p)^power, as transformers' `get_polynomial_decay_schedule_with_warmup`."""

    power: PositiveFloat

    def _left(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


@checked
@dataclass(frozen=True)
class Cosine(_Decay):
    """Linear warm-up, then half a cosine, (1 + cos(pi p)) / 2 (Loshchilov & Hutter 2017, without restarts)."""

    def _left(self, progress: float) -> float:
        return (1 + math.cos(math.pi * progress)) / 2


@checked
@dataclass(frozen=True)
class WarmupStableDecay(_Decay):
    """Linear warm-up, a plateau at the peak, and a decay at the end (Hu et al. 2024, MiniCPM, arXiv 2404.06395).

    Args:
        decay_share: share of `max_steps` in which the LR decays, at the end.
        shape: "linear", "cosine", or "sqrt": 1 - sqrt(progress of the decay) (Haegele et al. 2024, arXiv 2405.18392).
    """

    decay_share: PositiveFraction
    shape: Literal["linear", "cosine", "sqrt"]

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        length = round(self.decay_share * self.max_steps)
        progress = max(0.0, (step - (self.max_steps - length)) / length)
        return self.final_lr + (self.peak_lr - self.final_lr) * self._left(min(1.0, progress))

    def _left(self, progress: float) -> float:
        if self.shape == "linear":
            return 1 - progress
        if self.shape == "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        return 1 - math.sqrt(progress)

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        problems = super().problems(at)
        length = round(self.decay_share * self.max_steps)
        if not problems and not 0 < length <= self.max_steps - self.warmup_steps:
            problems.append(
                f"Warm-up and decay must fit into the run, but got {at}.warmup_steps={self.warmup_steps} and "
                f"{at}.decay_share={self.decay_share} of run.max_steps={self.max_steps}. Set {at}.decay_share."
            )
        return problems
