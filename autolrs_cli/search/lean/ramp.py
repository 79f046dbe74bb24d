"""An LR ramp from the initial weights, and what is read from it.

The idea of raising the LR until the loss rises is the range test's: Smith, arXiv 1506.01186. Its lowest point scatters
by a factor of 2 to 3 between seeds, so that all of the trough is read: the mean place of the gain, which scatters a
quarter as much (docs/search-notes.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SMOOTHING = 0.025
"""The mean at a step reaches this share of the ramp's steps to either side (ours)."""
SHARPNESS = 4
"""The gain at an LR weighs with this power: half of the gain with a sixteenth of its weight (ours)."""
LOST = 0.5
"""A ramp is over once this part of what the loss had gained is lost again, and that is more than noise (ours)."""
LEAST_GAIN = 0.02
"""What the loss must gain, of its first value, for it to be a gain (ours)."""
SURE = 6.0
"""... and by how many standard errors of a mean over as many steps (ours): it is the best of many means."""


@dataclass(frozen=True)
class Reading:
    """What a ramp says."""

    trough_lr: float
    """The mean LR, on the log scale, weighted by what the loss had gained there."""
    gained: bool
    """Whether the loss fell by more than noise."""
    last_lr: float
    """Of the last step with a finite loss."""


@dataclass(frozen=True)
class _Smooth:
    """A ramp's losses with their noise taken out."""

    first: float
    """Mean of the first ones, at LRs that change nothing."""
    last: float
    """Mean of as many last ones."""
    means: Sequence[float]
    """Centred running mean, at each step."""
    least: float
    """What counts as a gain; where nothing is gained, a rise by as much ends the ramp."""

    @property
    def gain(self) -> float:
        return self.first - min(self.means)


def is_over(losses: Sequence[float], steps: int) -> bool:
    """Return whether the loss has risen so much after its lowest point that the rest of the ramp says no more.

    Args:
        losses: training losses so far, at least one.
        steps: how many the ramp is planned with.
    """
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * _width(steps):
        return False
    smooth = _smooth(losses, steps)
    if smooth.gain < smooth.least:
        return smooth.last > smooth.first + smooth.least
    risen = smooth.last - (smooth.first - smooth.gain)
    return risen > max(LOST * smooth.gain, smooth.least)


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
        return Reading(lrs[0], gained=False, last_lr=lrs[0])
    smooth = _smooth(sound, steps)
    lowest = min(range(len(sound)), key=smooth.means.__getitem__)
    if smooth.gain < smooth.least:
        return Reading(lrs[lowest], gained=False, last_lr=lrs[len(sound) - 1])
    weights = [max(0.0, (smooth.first - mean) / smooth.gain) ** SHARPNESS for mean in smooth.means]
    logs = [weight * math.log(lr) for weight, lr in zip(weights, lrs, strict=False)]
    trough = math.exp(math.fsum(logs) / math.fsum(weights))
    return Reading(trough, gained=True, last_lr=lrs[len(sound) - 1])


def _width(steps: int) -> int:
    """Return how many first and last losses are taken the mean of."""
    return max(4, round(2 * SMOOTHING * steps))


def _smooth(losses: Sequence[float], steps: int) -> _Smooth:
    half, width = max(2, round(SMOOTHING * steps)), _width(steps)
    windows = (losses[max(0, at - half) : at + half + 1] for at in range(len(losses)))
    means = [math.fsum(window) / len(window) for window in windows]
    first = math.fsum(losses[: 2 * width]) / len(losses[: 2 * width])
    last = math.fsum(losses[-width:]) / len(losses[-width:])
    # Neighbours' differences, whose median is 0.95 standard deviations of a normal loss, hold no trend.
    differences = [abs(b - a) for a, b in pairwise(losses)]
    noise = median(differences) / 0.95 / math.sqrt(2 * half + 1) if differences else 0.0
    return _Smooth(first, last, means, max(LEAST_GAIN * abs(first), SURE * noise))
