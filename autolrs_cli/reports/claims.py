"""The paper's claims beside our figures, and a verdict in words whatever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

import numpy as np

from autolrs_cli.contracts import WeightsKind
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.outcomes import Cost
from autolrs_cli.reports.compare.speedups import (
    FEWEST_FOR_AN_INTERVAL,
    GENERATOR_SEED,
    LEVEL,
    RESAMPLES,
    Estimate,
    Speedup,
    bound,
    medians,
)
from autolrs_cli.wording import counted

# "Over heavily-tuned LR schedules", on average over the three recipes: Jin et al., ICLR 2021, abstract.
CLAIM_OVER_TUNED = 1.31
CLAIMED_OVER_TUNED = frozenset({"resnet50", "transformer", "bert"})
Verdict = Literal["reproduced", "not reproduced", "undecided"]
Judged = tuple[Verdict, str]
"""A verdict, and why."""


@dataclass(frozen=True)
class ClaimCheck:
    """A claimed speedup in training steps, and what we measured."""

    recipe: str
    claim: float | None
    """None: the paper makes none for this recipe."""
    found: Speedup | None
    """AutoLRS against the original schedule; None: it could not be measured."""
    rivals: Mapping[str, Speedup]
    """Title -> that arm against the original schedule."""
    over_tuned: Mapping[str, Speedup]
    """Title of a tuned schedule -> AutoLRS against it."""
    target: str
    provenance: tuple[str, ...] = ()
    """What is needed to make the figures again, a line each."""
    limit: PracticalLimit | None = None
    """The fewest steps to the target that a schedule of a grid needed, if it was measured."""
    read_out: Mapping[str, WeightsKind] = field(default_factory=dict)
    """Title of an arm -> whose weights decide; of the original, too."""
    duels: Mapping[str, Mapping[str, Speedup]] = field(default_factory=dict)
    """Title of one of our arms -> title of a rival or of an ablation -> ours against it, on the seeds of both."""

    @property
    def verdict(self) -> Judged:
        """Say whether the claim was reproduced, and why.

        Reproduced: the whole interval lies above 1, and its upper end at or above the claim. Not reproduced: the
        whole interval lies below the claim, or more than half of the runs miss. Undecided: anything else, and always
        with fewer than five seeds, which make no interval, or where the ratios are mere upper bounds.
        """
        if self.found is None or self.claim is None:
            return "undecided", "there is no figure, or no claim, to compare"
        found = self.found
        if found.mostly_misses:
            return (
                "not reproduced",
                f"AutoLRS misses the target on {found.arm_misses} of {counted(len(found.pairs), 'seed')}",
            )
        if found.training is None:
            return "undecided", "no seed has a ratio"
        if found.training.interval is None:
            return (
                "undecided",
                f"{counted(found.training.pairs, 'seed makes', 'seeds make')} no interval; five do",
            )
        judged = judge(found.training.interval, self.claim)
        bounds = sum(pair.baseline.at_shortest for pair in found.pairs)
        if judged[0] == "reproduced" and 2 * bounds >= len(found.pairs):
            return "undecided", (
                f"the original reaches the target at its shortest length on {bounds} of "
                f"{counted(len(found.pairs), 'seed')}, so the ratios are upper bounds"
            )
        return judged


def judge(interval: tuple[float, float], claim: float) -> Judged:
    """Return the verdict on a claimed speedup from the interval of the measured one."""
    low, high = interval
    if high < claim:
        side = "faster, but by less" if low > 1 else "the claim lies above the interval"
        return "not reproduced", side
    if low > 1:
        return "reproduced", "the interval lies above 1 and reaches the claim"
    return "undecided", "the interval holds both the claim and no speedup at all"


@dataclass(frozen=True)
class Mean:
    """The mean over several comparisons of their median speedups."""

    training: Estimate
    net: Estimate


def mean_speedup(speedups: Sequence[Speedup | None]) -> Mean | None:
    """Return the means; None if one of the comparisons shows no speedup (method rule 4), or has no ratio."""
    training, net = (
        _mean([known(each, cost) for each in speedups], cost) for cost in ("step", "total_steps")
    )
    return Mean(training, net) if training is not None and net is not None else None


def known(found: Speedup | None, cost: Cost) -> tuple[Estimate, Speedup] | None:
    """Return the estimate in `cost`, and what it is of; None where none may be named."""
    if found is None or found.mostly_misses:
        return None
    estimate = found.training if cost == "step" else found.net
    return None if estimate is None else (estimate, found)


def _mean(parts: Sequence[tuple[Estimate, Speedup] | None], cost: Cost) -> Estimate | None:
    """Return the mean of the medians, with the interval of resampling the pairs of each comparison separately."""
    given = [part for part in parts if part is not None]
    if not given or len(given) < len(parts):
        return None
    interval = None
    if all(estimate.interval is not None for estimate, _ in given):
        generator = np.random.default_rng(GENERATOR_SEED)
        drawn = [_resampled(found, cost, generator) for _, found in given]
        low, high = (np.mean([each[end] for each in drawn], axis=0) for end in (0, 1))
        interval = (
            float(np.quantile(low, (1 - LEVEL) / 2, method="lower")),
            float(np.quantile(high, (1 + LEVEL) / 2, method="higher")),
        )
    return Estimate(
        cost,
        fmean(estimate.median for estimate, _ in given),
        interval,
        sum(estimate.wins for estimate, _ in given),
        sum(estimate.ties for estimate, _ in given),
        sum(estimate.pairs for estimate, _ in given),
        bound(
            smaller=any(estimate.bound in ("at most", "unclear") for estimate, _ in given),
            larger=any(estimate.bound in ("at least", "unclear") for estimate, _ in given),
        ),
    )


def _resampled(found: Speedup, cost: Cost, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return resampled medians [RESAMPLES], each ratio at the least that it may be, and at the greatest."""
    least, greatest = found.ranges(cost)
    drawn = generator.integers(0, len(least), (RESAMPLES, len(least)))
    return medians(least[drawn]), medians(greatest[drawn])


def judge_mean(speedups: Mapping[str, Speedup | None], claim: float) -> Judged:
    """Return the verdict on a claimed mean.

    Args:
        speedups: name of a comparison -> what it found.
        claim: the claimed mean.
    """
    if any(found is not None and len(found.pairs) < FEWEST_FOR_AN_INTERVAL for found in speedups.values()):
        return "undecided", "too few seeds make no interval; five do"
    none = [name for name, found in speedups.items() if found is not None and found.mostly_misses]
    if none:
        return "not reproduced", f"no speedup in {len(none)} of {len(speedups)}"
    mean = mean_speedup(list(speedups.values()))
    if mean is None:
        return "undecided", "one of them has no ratio"
    if mean.training.interval is None:
        return "undecided", "too few pairs make no interval; five do"
    judged = judge(mean.training.interval, claim)
    if judged[0] == "reproduced" and mean.training.bound in ("at most", "unclear"):
        return "undecided", "its ratios are upper bounds"
    return judged
