"""The LR range test: which learning rates a network can be trained with, from one short run.

The LR grows from step to step while the loss is recorded: where it begins to fall, LRs begin to be useful; where it
climbs again, they are too high [Smith2017]_ Sec. 3.3. Smith lets the LR grow linearly and reads the accuracy; here it
grows by a constant factor, so that every decade gets as many steps, and the training loss is read, which is free.

.. [Smith2017] Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv 1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import median_abs_deviation

from autolrs_cli.errors import ConfigError

# All ours; Smith reads both ends off the plot by eye.
WINDOW_SHARE = 0.05
"""Of the steps are under the running median that smooths the loss."""
FALLEN_SHARE = 0.1
"""Of the whole fall: from there on the loss counts as falling."""
SAFETY_FACTOR = 0.5
"""Of the LR at which the loss climbs back: half, as below a failed trial of the search."""
RISEN_SHARE = 0.5
"""Of the whole fall: once so much is lost again, the loss counts as climbing."""
LEAST_RATIO = 10.0
"""Between the ends of the proposed interval: a search in less than a decade finds little."""
LEAST_FALL = 0.01
"""Of the first loss, and ..."""
LEAST_DEVIATIONS = 2.0
"""... standard deviations of a step's loss around the running median: less is noise."""


@dataclass(frozen=True)
class RangeTest:
    """What was measured."""

    lrs: tuple[float, ...]
    """Of each step, growing by a constant factor."""
    losses: tuple[float, ...]
    """Training loss of each step before its update; the last one may not be finite."""


@dataclass(frozen=True)
class Proposal:
    """An interval for the search."""

    lr_min: float
    lr_max: float
    falls_at: float
    """Where the smoothed loss has begun to fall."""
    climbs_at: float | None
    """Where it climbs again; None: it did not."""
    smoothed: tuple[float, ...]
    """Running median of the losses."""
    notes: tuple[str, ...] = ()


def run_range_test(
    step: Callable[[int, float], float], lr_min: float, lr_max: float, steps: int
) -> RangeTest:
    """Train `steps` steps, each at an LR higher than the last, until the loss is not a number or 4 times the first.

    Args:
        step: makes optimizer step i (0-based) at an LR and returns its loss.
        lr_min: of the first step.
        lr_max: of the last one.
        steps: how many, at most.
    """
    lrs: list[float] = []
    losses: list[float] = []
    for index in range(steps):
        lr = lr_min * (lr_max / lr_min) ** (index / (steps - 1))
        lrs.append(lr)
        losses.append(step(index, lr))
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * abs(losses[0]) + 1:
            break
    return RangeTest(tuple(lrs), tuple(losses))


def propose(test: RangeTest) -> Proposal:
    """Propose the interval in which to search.

    With the running median of the loss, which one wild step does not move: the low end is the LR at which a tenth of
    the whole fall (first loss to lowest) is made; the high end is half of the LR at which, after the lowest point, half
    of the fall is lost again. Where the two are less than a factor of 10 apart, the low end is moved down.

    Raises:
        ConfigError: if the loss did not fall at all.
    """
    finite = [loss for loss in test.losses if math.isfinite(loss)]
    smoothed = running_median(finite)
    if not smoothed:
        raise _no_fall(test, "is not finite from the first step on", "--lr-min")
    # The running median has a single loss under it at the very first, so a whole window is asked too.
    first = min(smoothed[0], median(finite[: 2 * _reach(len(finite)) + 1]))
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__)
    fall = first - smoothed[lowest]
    if fall < max(LEAST_FALL * abs(first), LEAST_DEVIATIONS * _noise(finite, smoothed, lowest)):
        climbs = len(finite) < len(test.losses) or smoothed[-1] > first * (1 + LEAST_FALL)
        raise _no_fall(test, f"did not fall below {first:.4g}", "--lr-min" if climbs else "--lr-max")
    falls = next(i for i in range(lowest + 1) if smoothed[i] <= first - FALLEN_SHARE * fall)
    limit = smoothed[lowest] + RISEN_SHARE * fall
    risen = next((i for i in range(lowest, len(smoothed)) if smoothed[i] > limit), None)
    if risen is None and len(finite) < len(test.losses):
        risen = len(finite)
    return _interval(test, smoothed, falls, risen)


def _interval(test: RangeTest, smoothed: Sequence[float], falls: int, risen: int | None) -> Proposal:
    notes = []
    climbs_at = None if risen is None else test.lrs[risen]
    lr_max = test.lrs[-1] if climbs_at is None else SAFETY_FACTOR * climbs_at
    if climbs_at is None:
        notes.append("The loss never climbed: higher LRs may be useful too. Raise --lr-max.")
    lr_min = min(test.lrs[falls], lr_max / LEAST_RATIO)
    if lr_min < test.lrs[falls]:
        notes.append(
            f"The loss begins to fall at {test.lrs[falls]:.2g} only, but the low end is {LEAST_RATIO:g} times below "
            "the high end, since a search in less finds little."
        )
    if falls == 0:
        notes.append("The loss fell from the first step on: lower LRs may be useful too. Lower --lr-min.")
    return Proposal(
        _rounded(lr_min), _rounded(lr_max), test.lrs[falls], climbs_at, tuple(smoothed), tuple(notes)
    )


def running_median(values: Sequence[float]) -> list[float]:
    """Return the median around each value, over a window that shrinks towards the ends."""
    reach = _reach(len(values))
    return [
        median(values[i - own : i + own + 1])
        for i in range(len(values))
        for own in (min(reach, i, len(values) - 1 - i),)
    ]


def _reach(count: int) -> int:
    """Return how many values on either side are under the running median."""
    return max(1, round(WINDOW_SHARE * count / 2))


def _noise(losses: Sequence[float], smoothed: Sequence[float], end: int) -> float:
    """Return the standard deviation of the losses around the running median, up to `end`; outliers hardly move it."""
    apart = [a - b for a, b in zip(losses[: end + 1], smoothed, strict=False)]
    return float(median_abs_deviation(apart, scale="normal"))


def _rounded(lr: float) -> float:
    """Return two digits: there is no more in it."""
    return float(f"{lr:.1e}")


def _no_fall(test: RangeTest, what: str, option: str) -> ConfigError:
    direction = "Lower" if option == "--lr-min" else "Raise"
    return ConfigError(
        f"The loss must fall somewhere on the way, but between LR {test.lrs[0]:.2g} and {test.lrs[-1]:.2g} it {what}. "
        f"{direction} {option}, or raise --steps."
    )
