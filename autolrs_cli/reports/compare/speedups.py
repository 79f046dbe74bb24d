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
COSTS: tuple[Cost, ...] = ("step", "total_steps", "seconds", "all_in", "all_in_shared")
ALL_IN: tuple[Cost, ...] = ("all_in", "all_in_shared")
Bound = Literal["exact", "at least", "at most"]
Finding = Literal["faster", "slower", "undecided", "no speedup", "no pair"]


@dataclass(frozen=True)
class Pair:
    """Baseline and arm on one seed: same initialisation, same order of the data."""

    seed: int
    baseline: TargetOutcome
    arm: TargetOutcome
    seeds: int = 1
    """How many are compared, and so share what tuning took."""

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
        below = self.arm.cost(cost, self.seeds)
        return self.baseline.cost(cost, self.seeds) / below if below else math.inf

    def at_least(self, cost: Cost) -> bool:
        """Whether the ratio may be larger: the baseline missed, or what tuning it took is unknown."""
        if not self.arm.reached:
            return False
        return not self.baseline.reached or (cost in ALL_IN and self.baseline.tuning_steps is None)

    def at_most(self, cost: Cost) -> bool:
        """Whether the ratio may be smaller: what tuning the arm took is unknown."""
        return self.arm.reached and cost in ALL_IN and self.arm.tuning_steps is None


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
    bound: Bound = "exact"
    """What the median is if tuning is unknown: the baseline's left out, or the arm's."""

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
    all_in: Estimate | None
    """In all optimizer steps and those of the tuning, for a person who trains once; None: no pair, or unknown."""
    all_in_shared: Estimate | None
    """Likewise, the tuning shared among the compared seeds."""

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
        ratios, _, at_most = _ratios(_known(self.pairs, cost), cost)
        return ratios, at_most

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
    pairs = tuple(Pair(seed, baseline_outcomes[seed], outcomes[seed], len(seeds)) for seed in seeds)
    return Speedup(arm, baseline, pairs, *(estimate(pairs, cost, intervals=intervals) for cost in COSTS))


def estimate(pairs: Sequence[Pair], cost: Cost, *, intervals: bool = True) -> Estimate | None:
    """Return median ratio, interval and wins of the pairs that have a ratio; None if none has, or nothing bounds it."""
    known = _known(pairs, cost)
    smaller, larger = (any(which(pair, cost) for pair, _ in known) for which in (Pair.at_most, Pair.at_least))
    if not known or (smaller and larger):
        return None
    ratios, at_least, at_most = _ratios(known, cost)
    untuned = cost in ALL_IN and any(pair.baseline.tuning_steps is None for pair, _ in known)
    return Estimate(
        cost,
        float(np.median(ratios)),
        bootstrap_interval(ratios, at_most, at_least)
        if intervals and len(known) >= FEWEST_FOR_AN_INTERVAL
        else None,
        int((ratios > 1).sum()),
        int((ratios == 1).sum()),
        len(known),
        "at most" if smaller else "at least" if untuned else "exact",
    )


def _known(pairs: Sequence[Pair], cost: Cost) -> list[tuple[Pair, float]]:
    return [(pair, ratio) for pair in pairs if (ratio := pair.ratio(cost)) is not None]


def _ratios(known: Sequence[tuple[Pair, float]], cost: Cost) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ratios of pairs, and the smallest and the largest that each may be."""
    ratios = np.array([ratio for _, ratio in known])
    smaller = [pair.at_most(cost) for pair, _ in known]
    larger = [pair.at_least(cost) for pair, _ in known]
    return ratios, np.where(smaller, 0.0, ratios), np.where(larger, math.inf, ratios)


def bootstrap_interval(
    ratios: np.ndarray, at_most: np.ndarray | None = None, at_least: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the percentile-bootstrap interval of the median ratio, pairs resampled with replacement.

    The ends are order statistics of the resampled medians, the outer ones where a percentile falls between two, so
    that infinite ratios need no arithmetic.

    Args:
        ratios: one for each pair.
        at_most: the largest that each ratio may be, for the upper end; None: `ratios`.
        at_least: the smallest, for the lower end; None: `ratios`.
    """
    lower, upper = (ratios if bound is None else bound for bound in (at_least, at_most))
    drawn = np.random.default_rng(GENERATOR_SEED).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low = np.quantile(medians(lower[drawn]), (1 - LEVEL) / 2, method="lower")
    high = np.quantile(medians(upper[drawn]), (1 + LEVEL) / 2, method="higher")
    return float(low), float(high)


def medians(rows: np.ndarray) -> np.ndarray:
    """Return the median of each row; `np.median` makes NaN of two infinities."""
    ordered = np.sort(rows, axis=1)
    middle = rows.shape[1] // 2
    if rows.shape[1] % 2:
        return ordered[:, middle]
    return ordered[:, middle - 1] / 2 + ordered[:, middle] / 2
