"""When a trial counts as failed. A failure is a state, never a number told to the surrogate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autolrs_cli.errors import NonFiniteError
from autolrs_cli.search.ask_tell import Curve, Failure


@dataclass(frozen=True)
class FailureRule:
    """A non-finite loss at once; or, at the trial's end, last losses far above the untrained model's.

    The numbers are ours: the published code has no such rule, and crashes on a NaN.

    Args:
        max_loss_ratio: the mean of the last losses may be this many times the untrained model's loss.
        tail_fraction: part of the trial's losses that counts as last; at least one loss.
    """

    max_loss_ratio: float
    tail_fraction: float

    def check(self, curve: Curve, untrained_loss: float) -> Failure | None:
        """Judge a finished (or stopped) trial.

        Args:
            curve: the losses of the trial, at least one.
            untrained_loss: the loss of the model before any training, of the same kind as `curve`.

        Raises:
            ValueError: the curve is empty.
            NonFiniteError: `untrained_loss` is not a positive finite number.
        """
        if not curve.values:
            raise ValueError("`len(curve.values) >= 1` must hold, but got none. Judge a trial after a step.")
        if not (math.isfinite(untrained_loss) and untrained_loss > 0):
            raise NonFiniteError(
                f"`untrained_loss > 0` (finite) must hold, but got {untrained_loss}. "
                "Check the data and the loss."
            )
        return self._non_finite(curve) or self._too_high(curve, untrained_loss)

    def _non_finite(self, curve: Curve) -> Failure | None:
        for step, value in zip(curve.steps, curve.values, strict=True):
            if not math.isfinite(value):
                return Failure("non_finite_loss", step, f"loss {value} at step {step} of the trial")
        return None

    def _too_high(self, curve: Curve, untrained_loss: float) -> Failure | None:
        count = max(1, round(self.tail_fraction * len(curve.values)))
        mean = sum(curve.values[-count:]) / count
        if mean <= self.max_loss_ratio * untrained_loss:
            return None
        detail = (
            f"mean of the last {count} losses {mean:.6g} is above "
            f"{self.max_loss_ratio:g} x the untrained model's {untrained_loss:.6g}"
        )
        return Failure("loss_above_untrained", curve.steps[-1], detail)
