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
Bound = Literal["exact", "at least", "at most", "unclear"]
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
        return self._over(self.baseline, self.arm, cost)

    def at_least(self, cost: Cost) -> bool:
        """Whether the ratio may be larger without bound.

        So it is where the baseline missed, or its tuning is unknown, or the arm decays and was not run any shorter.
        """
        if not self.arm.reached:
            return False
        untuned = cost in ALL_IN and self.baseline.tuning_steps is None
        return not self.baseline.reached or self.arm.at_shortest or untuned

    def at_most(self, cost: Cost) -> bool:
        """Whether the ratio may be smaller without bound: what tuning the arm took is unknown."""
        return self.arm.reached and cost in ALL_IN and self.arm.tuning_steps is None

    def bound(self, cost: Cost) -> Bound:
        """Return what the ratio is, if it may be larger or smaller than it says."""
        shortest = self.arm.reached and self.baseline.at_shortest
        return bound(smaller=shortest or self.at_most(cost), larger=self.at_least(cost))

    def range(self, cost: Cost) -> tuple[float, float] | None:
        """Return the least and the greatest that the ratio may be; None if both miss.

        A decayed schedule needs more steps than the length that missed, and no more than the one that reached the
        target. Where the baseline was not run any shorter than it reached, its own ratio stands for the least.
        """
        ratio = self.ratio(cost)
        if ratio is None or not self.arm.reached:
            return None if ratio is None else (0.0, 0.0)
        # In seconds, and in steps that were made again, a shorter run is not always the cheaper one.
        low = min(ratio, self._over(self.baseline.missed or self.baseline, self.arm, cost))
        high = max(ratio, self._over(self.baseline, self.arm.missed or self.arm, cost))
        return 0.0 if self.at_most(cost) else low, math.inf if self.at_least(cost) else high

    def _over(self, baseline: TargetOutcome, arm: TargetOutcome, cost: Cost) -> float:
        below = arm.cost(cost, self.seeds)
        return baseline.cost(cost, self.seeds) / below if below else math.inf


@dataclass(frozen=True)
class Estimate:
    """A speedup over seeds."""

    cost: Cost
    median: float
    interval: tuple[float, float] | None
    """Of the median, from resampled pairs; None below 5. An end may be infinite."""
    wins: int
    ties: int
    pairs: int
    bound: Bound = "exact"
    """What the median is where tuning is unknown, where most baselines miss, or where what decays was not run shorter
    than it reached the target; `unclear`: it may be larger and smaller.
    """

    @property
    def probability_faster(self) -> float:
        """Share of pairs in which the arm is faster; a tie counts half."""
        return (self.wins + self.ties / 2) / self.pairs

    @property
    def finding(self) -> Finding:
        """What the interval says; without one, nothing is decided."""
        if self.interval is None or self.interval[0] <= 1 <= self.interval[1] or self.bound == "unclear":
            return "undecided"
        found: Finding = "faster" if self.interval[0] > 1 else "slower"
        return "undecided" if self.bound == ("at most" if found == "faster" else "at least") else found


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

    def ranges(self, cost: Cost) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the greatest that the ratio of each pair that has one may be."""
        _, least, greatest = _ratios(self.pairs, cost)
        return least, greatest

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
    ratios, least, greatest = _ratios(pairs, cost)
    known = [pair for pair in pairs if not pair.both_miss]
    smaller, larger = (any(which(pair, cost) for pair in known) for which in (Pair.at_most, Pair.at_least))
    if not known or (smaller and larger):
        return None
    return Estimate(
        cost,
        float(np.median(ratios)),
        bootstrap_interval(ratios, greatest, least)
        if intervals and len(known) >= FEWEST_FOR_AN_INTERVAL
        else None,
        int((ratios > 1).sum()),
        int((ratios == 1).sum()),
        len(known),
        _bound(known, cost, may_be_larger=math.isinf(float(medians(greatest[None])[0]))),
    )


def _bound(known: Sequence[Pair], cost: Cost, *, may_be_larger: bool) -> Bound:
    at_shortest = sum(pair.baseline.at_shortest and pair.arm.reached for pair in known)
    may_be_smaller = 2 * at_shortest >= len(known) or any(pair.at_most(cost) for pair in known)
    untuned = cost in ALL_IN and any(pair.baseline.tuning_steps is None for pair in known)
    return bound(smaller=may_be_smaller, larger=may_be_larger or untuned)


def bound(*, smaller: bool, larger: bool) -> Bound:
    """Return what a figure is that may be smaller, or larger, than it says."""
    if smaller and larger:
        return "unclear"
    return "at most" if smaller else "at least" if larger else "exact"


def _ratios(pairs: Sequence[Pair], cost: Cost) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ratios of the pairs that have one, and the least and the greatest that each may be."""
    ratios = [ratio for pair in pairs if (ratio := pair.ratio(cost)) is not None]
    ranges = [each for pair in pairs if (each := pair.range(cost)) is not None]
    return np.array(ratios), np.array([low for low, _ in ranges]), np.array([high for _, high in ranges])


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
