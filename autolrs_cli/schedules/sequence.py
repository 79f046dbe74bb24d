"""The schedules that sequence models were published with: the Transformer's and BERT's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autolrs_cli.schedules.basic import common_problems, linear_warmup

AT = "original_schedule"


@dataclass(frozen=True)
class InverseSquareRoot:
    """Linear warm-up, then decay with the inverse square root of the step (Vaswani et al. 2017, Eq. 3).

    With n = step + 1: peak_lr * min(n / warmup_steps, sqrt(warmup_steps / n)), which is the paper's
    d_model^-0.5 * min(n^-0.5, n * warmup_steps^-1.5) for peak_lr = (d_model * warmup_steps)^-0.5.

    Args:
        peak_lr: LR at the end of the warm-up.
        warmup_steps: at least 1.
    """

    peak_lr: float
    warmup_steps: int

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self.peak_lr * math.sqrt(self.warmup_steps / (step + 1))

    def problems(self) -> list[str]:
        """Return every problem with the settings."""
        problems = common_problems(self.peak_lr, self.warmup_steps, AT)
        if self.warmup_steps == 0:
            problems.append(
                "`warmup_steps` must be 1 or more: the inverse square root starts from there, but got "
                f"{AT}.warmup_steps=0. Set {AT}.warmup_steps."
            )
        return problems


@dataclass(frozen=True)
class LinearDecay:
    """Linear warm-up, then linear decay to zero at the end of the run (Devlin et al. 2019, A.2).

    As transformers' `get_linear_schedule_with_warmup`. BERT's public code decays from step 0 on, so that its LR
    drops by warmup_steps / max_steps (1 % as published) when the warm-up ends; here it does not.

    Args:
        peak_lr: LR at the end of the warm-up.
        max_steps: length of the run.
        warmup_steps: length of the warm-up.
    """

    peak_lr: float
    max_steps: int
    warmup_steps: int

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self.peak_lr * max(0, self.max_steps - step) / (self.max_steps - self.warmup_steps)

    def problems(self) -> list[str]:
        """Return every problem with the settings."""
        problems = common_problems(self.peak_lr, self.warmup_steps, AT)
        if self.warmup_steps >= self.max_steps:
            problems.append(
                f"The warm-up must end before the run, but got {AT}.warmup_steps={self.warmup_steps} of "
                f"run.max_steps={self.max_steps}. Shorten the warm-up or lengthen the run."
            )
        return problems
