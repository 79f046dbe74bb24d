"""Speedups of paired seeds, by method rules 1, 4 and 7. Every ratio is baseline / arm: above 1, the arm is faster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autolrs_cli.reports.compare.outcomes import Cost, TargetOutcome

RESAMPLES = 10_000
GENERATOR_SEED = 0
LEVEL = 0.95
# Fewer seeds than these make no interval (method rule 7).
FEWEST_FOR_AN_INTERVAL = 5
Finding = Literal["faster", "slower", "undecided", "no speedup", "no pair"]


@dataclass(frozen=True)
class Pair:
    """Baseline and arm on one seed: same initialisation, same order of the data."""

    seed: int
    baseline: TargetOutcome
    arm: TargetOutcome

    @property
    def both_miss(self) -> bool:
        """Whether there is nothing to compare."""
        return not (self.baseline.reached or self.arm.reached)

    def ratio(self, cost: Cost) -> float | None:
        """Return baseline / arm; 0 if the arm misses, None if both do.

        A baseline that misses counts as its full length, so the ratio is then a lower bound.
        """
        if self.both_miss:
            return None
        if not self.arm.reached:
            return 0.0
        return self.baseline.cost(cost) / self.arm.cost(cost) if self.arm.cost(cost) else math.inf


@dataclass(frozen=True)
class Estimate:
    """A speedup over seeds."""

    cost: Cost
    median: float
    interval: tuple[float, float] | None
    """95 % interval of the median; None below 5 pairs. An end may be infinite."""
    wins: int
    ties: int
    pairs: int

    @property
    def probability_faster(self) -> float:
        """Share of pairs in which the arm is faster; a tie counts half."""
        return (self.wins + self.ties / 2) / self.pairs

    @property
    def finding(self) -> Finding:
        """What the interval says; without one, nothing is decided."""
        if self.interval is None or self.interval[0] <= 1 <= self.interval[1]:
            return "undecided"
        return "faster" if self.interval[0] > 1 else "slower"


@dataclass(frozen=True)
class Speedup:
    """An arm against the baseline."""

    arm: str
    baseline: str
    pairs: tuple[Pair, ...]
    """One for each common seed, by seed; pairs in which both miss included."""
    training: Estimate | None
    """In kept steps, the search left out; None where no pair has a ratio."""
    net: Estimate | None
    """In all optimizer steps."""
    seconds: Estimate | None
    """In seconds, everything included."""

    @property
    def arm_misses(self) -> int:
        """Seeds on which the arm misses the target."""
        return sum(not pair.arm.reached for pair in self.pairs)

    @property
    def baseline_misses(self) -> int:
        """Seeds on which the baseline misses the target."""
        return sum(not pair.baseline.reached for pair in self.pairs)

    @property
    def both_miss(self) -> int:
        """Seeds on which both miss: no pair."""
        return sum(pair.both_miss for pair in self.pairs)

    @property
    def mostly_misses(self) -> bool:
        """Whether the arm misses so often that no speedup may be named (method rule 4)."""
        return self.arm_misses * 2 > len(self.pairs)

    def ratios(self, cost: Cost) -> tuple[np.ndarray, np.ndarray]:
        """Return the ratios of the pairs that have one, and the largest that each may be.

        How long a baseline that missed would have needed is unknown: its ratio has no upper bound.
        """
        return _ratios(_known(self.pairs, cost))

    def finding(self, estimate: Estimate | None) -> Finding:
        """Return what `estimate`, one of this speedup's, says."""
        if self.mostly_misses:
            return "no speedup"
        return estimate.finding if estimate else "no pair"


def speedup(
    arm: str,
    baseline: str,
    outcomes: Mapping[int, TargetOutcome],
    baseline_outcomes: Mapping[int, TargetOutcome],
    *,
    intervals: bool = True,
) -> Speedup:
    """Pair `outcomes` (seed -> outcome) with those of the baseline by seed."""
    seeds = sorted(outcomes.keys() & baseline_outcomes.keys())
    pairs = tuple(Pair(seed, baseline_outcomes[seed], outcomes[seed]) for seed in seeds)
    training, net, seconds = (
        estimate(pairs, cost, intervals=intervals) for cost in ("step", "total_steps", "seconds")
    )
    return Speedup(arm, baseline, pairs, training, net, seconds)


def estimate(pairs: Sequence[Pair], cost: Cost, *, intervals: bool = True) -> Estimate | None:
    """Return median ratio, interval and wins of the pairs that have a ratio; None if none has."""
    known = _known(pairs, cost)
    if not known:
        return None
    ratios, at_most = _ratios(known)
    return Estimate(
        cost,
        float(np.median(ratios)),
        bootstrap_interval(ratios, at_most) if intervals and len(known) >= FEWEST_FOR_AN_INTERVAL else None,
        int((ratios > 1).sum()),
        int((ratios == 1).sum()),
        len(known),
    )


def _known(pairs: Sequence[Pair], cost: Cost) -> list[tuple[Pair, float]]:
    return [(pair, ratio) for pair in pairs if (ratio := pair.ratio(cost)) is not None]


def _ratios(known: Sequence[tuple[Pair, float]]) -> tuple[np.ndarray, np.ndarray]:
    ratios = np.array([ratio for _, ratio in known])
    bounded = [pair.baseline.reached or not pair.arm.reached for pair, _ in known]
    return ratios, np.where(bounded, ratios, math.inf)


def bootstrap_interval(ratios: np.ndarray, at_most: np.ndarray | None = None) -> tuple[float, float]:
    """Return the percentile-bootstrap interval of the median ratio, pairs resampled with replacement.

    The ends are order statistics of the resampled medians, the outer ones where a percentile falls between two, so
    that infinite ratios need no arithmetic.

    Args:
        ratios: one for each pair.
        at_most: the largest that each ratio may be, for the upper end; None: `ratios`.
    """
    upper = ratios if at_most is None else at_most
    drawn = np.random.default_rng(GENERATOR_SEED).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low = np.quantile(medians(ratios[drawn]), (1 - LEVEL) / 2, method="lower")
    high = np.quantile(medians(upper[drawn]), (1 + LEVEL) / 2, method="higher")
    return float(low), float(high)


def medians(rows: np.ndarray) -> np.ndarray:
    """Return the median of each row; `np.median` makes NaN of two infinities."""
    ordered = np.sort(rows, axis=1)
    middle = rows.shape[1] // 2
    if rows.shape[1] % 2:
        return ordered[:, middle]
    return ordered[:, middle - 1] / 2 + ordered[:, middle] / 2
