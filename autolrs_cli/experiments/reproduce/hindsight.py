"""The practical limit: which runs of a grid of schedules are needed to know it, and what they say. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autolrs_cli.experiments.seeds import HINDSIGHT_FIRST

SEED = HINDSIGHT_FIRST
"""One that nothing is reported, tuned or calibrated on."""
TIMES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Peaks, over that of the original schedule: factors of 2."""
SHORTER = (0.75, 0.5, 0.35, 0.25, 0.18, 0.125)
"""Lengths of decayed schedules that are tried first, as shares of the full one."""
LONGER = 2.0
RESOLUTION = 0.1
"""Where the shortest length that reaches the target is known to this share of itself, no run is spent on it."""

Seen = Mapping[int, float | None]
"""Length of a run -> the steps after which it had reached the target; None: it missed."""


@dataclass(frozen=True)
class Candidate:
    """One schedule of the grid."""

    schedule: str
    average: str
    """Whose weights are read out: none, or their mean."""
    decays: bool
    """Whether each length is a run of its own: else one run tells when the target is reached."""
    times: float
    """Its peak over the original schedule's."""

    @property
    def name(self) -> str:
        """Its schedule and averaging, in words."""
        return f"{self.schedule} (average={self.average})"


def grid(times: Sequence[float] = TIMES) -> list[Candidate]:
    """Return the schedules that are tried: what decays is read out as it ends, the constant one by averaged weights."""
    kinds = (("linear", "none", True), ("wsd", "none", True), ("constant", "ema", False))
    return [Candidate(*kind, each) for kind in kinds for each in times]


def next_runs(seen: Mapping[Candidate, Seen], full: int) -> list[tuple[Candidate, int]]:
    """Return the runs that are still needed to know the fewest steps; none: they are known.

    Every candidate is run at full length first. Then those that decay, and reached the target at all lengths so far,
    are run at the longest length of a short list that would be fewer steps than the fewest so far; between a length
    that misses and one that reaches, at the middle. So no run is spent that could not lower the limit.

    Args:
        seen: every candidate -> what its runs showed.
        full: the full length, in steps.
    """
    first = [(candidate, full) for candidate, own in seen.items() if full not in own]
    if first:
        return first
    best = fewest(seen)
    if best is None:
        longer = round(LONGER * full)
        return [(candidate, longer) for candidate, own in seen.items() if longer not in own]
    found = [(c, _next_length(own, best[2], full)) for c, own in seen.items() if c.decays]
    return [(candidate, length) for candidate, length in found if length is not None]


def _next_length(own: Seen, best: float, full: int) -> int | None:
    reached = min((length for length, steps in own.items() if steps is not None), default=None)
    if reached is None:
        return None
    missed = max((length for length, steps in own.items() if steps is None and length < reached), default=0)
    below = min(reached, best)
    if not missed:
        return next((length for share in SHORTER if (length := round(share * full)) < below), None)
    if below - missed <= RESOLUTION * below:
        return None
    return round((missed + below) / 2)


def fewest(seen: Mapping[Candidate, Seen]) -> tuple[Candidate, int, float] | None:
    """Return who needed the fewest steps, over which length, and how many; None: all missed."""
    found = [
        (steps, length, candidate)
        for candidate, own in seen.items()
        for length, steps in own.items()
        if steps is not None
    ]
    if not found:
        return None
    steps, length, candidate = min(found, key=lambda each: each[:2])
    return candidate, length, steps


def described(seen: Mapping[Candidate, Seen]) -> str:
    """Say what was tried."""
    times = sorted({candidate.times for candidate in seen})
    names = ", ".join(dict.fromkeys(candidate.name for candidate in seen))
    lengths = sorted({length for own in seen.values() for length in own}, reverse=True)
    return (
        f"{len(times)} peaks from {times[0]:g}x to {times[-1]:g}x the original's, of {names}, at lengths "
        f"{', '.join(map(str, lengths))}, shorter ones only while the target was still reached"
    )
