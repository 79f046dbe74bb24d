"""An LR ramp from the initial weights, and the level that is read from it.

The idea of raising the LR until the loss rises is [Smith2017]_'s range test (arXiv 1506.01186).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SMOOTHING = 0.05
"""The mean at a step reaches this share of the ramp's steps to either side (ours)."""
LOST = 0.5
"""A ramp is over once this part of what the loss had gained is lost again (ours)."""
LEAST_GAIN = 0.02
"""What the loss must gain, of its first value, before losing it again means anything (ours)."""


@dataclass(frozen=True)
class Reading:
    """What a ramp says."""

    lowest_lr: float
    """LR at the lowest point of the smoothed losses."""
    at_end: bool
    """Whether that is the ramp's last LR: the loss might have fallen further."""
    gained: bool
    """Whether the loss fell at all."""
    last_lr: float
    """Of the last step that was made with a finite loss: if it was cut short, the loss had risen again there."""


def smoothed(losses: Sequence[float], steps: int) -> list[float]:
    """Return the centred running mean of `losses`, of a ramp that was planned with `steps` steps."""
    half = max(1, round(SMOOTHING * steps))
    windows = (losses[max(0, at - half) : at + half + 1] for at in range(len(losses)))
    return [math.fsum(window) / len(window) for window in windows]


def is_over(losses: Sequence[float], steps: int) -> bool:
    """Return whether the loss has risen so much after its lowest point that the rest of the ramp says no more."""
    width = max(2, round(SMOOTHING * steps))
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * width:
        return False
    first, last = math.fsum(losses[:width]) / width, math.fsum(losses[-width:]) / width
    lowest = min(smoothed(losses, steps))
    gain = first - lowest
    if gain < LEAST_GAIN * abs(first):
        return last > first + LEAST_GAIN * abs(first)
    return last > lowest + LOST * gain


def read(lrs: Sequence[float], losses: Sequence[float], steps: int) -> Reading:
    """Read a ramp.

    Args:
        lrs: of the steps that were made; shape (n,), n >= 1.
        losses: training loss of each; what follows the first one that is not finite is left out.
        steps: how many the ramp was planned with.
    """
    sound = list(
        losses[: next((at for at, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))]
    )
    if not sound:
        return Reading(lrs[0], at_end=False, gained=False, last_lr=lrs[0])
    means = smoothed(sound, steps)
    at = min(range(len(means)), key=means.__getitem__)
    gain = means[0] - means[at]
    return Reading(lrs[at], at == steps - 1, gain >= LEAST_GAIN * abs(means[0]), lrs[len(sound) - 1])
