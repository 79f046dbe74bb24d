"""The words and figures that terminal, tables and report share."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Sequence

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.outcomes import Cost, TargetOutcome, median_cost
from autolrs_cli.reports.compare.speedups import Bound, Estimate, Pair, Speedup
from autolrs_cli.reports.compare.tuning_cost import TuningCost
from autolrs_cli.wording import counted

DIRECTION = (
    "Every ratio is {baseline} / arm: above 1, the arm needs less. Training-step speedup counts kept steps, the "
    "search left out; net speedup counts all optimizer steps; all-in speedup adds those that tuning took to find an "
    "arm's settings, all of them for one run (a person who trains once), or shared among the compared seeds. An arm "
    "that misses counts as 0, a baseline that misses as its full length. {figures} Seconds hold only between runs "
    "on one quiet machine."
)
FIGURES = (
    "A schedule that decays counts as the shortest of its runs that reaches the target; intervals allow for all "
    "down to the next shorter one. An interval is that of resampled medians: of five seeds, their least and "
    "greatest ratio, between which the median lies with 94 %. Marks: >=, the figure may be larger (the baseline "
    "mostly misses, or its tuning is unknown, or the arm decays and was not run any shorter); <=, smaller (the same "
    "of the other side); ~, either."
)
"""What holds for every figure, in every table."""
FORCED = "FORCED: these runs should not be compared, and the figures below may mean nothing."


def direction(comparison: Comparison) -> str:
    """Say what divides what."""
    return DIRECTION.format(baseline=comparison.baseline.name, figures=FIGURES)


def ratio(value: float | None) -> str:
    """Return a speedup for a person: "1.22x"."""
    if value is None or math.isnan(value):
        return "-"
    return "infinite" if math.isinf(value) else f"{value:.2f}x"


def interval(estimate: Estimate | None) -> str:
    """Return "[1.10x, 1.35x]"; empty where there are too few seeds."""
    if estimate is None or estimate.interval is None:
        return ""
    low, high = estimate.interval
    return f"[{ratio(low)}, {ratio(high)}]"


def median_and_interval(found: Speedup, estimate: Estimate | None) -> str:
    """Return a speedup with its interval; where most of the arm's runs miss, no figure."""
    if found.mostly_misses or estimate is None:
        return "none"
    return f"{BOUNDS[estimate.bound]}{ratio(estimate.median)} {interval(estimate)}".rstrip()


BOUNDS: dict[Bound, str] = {"exact": "", "at least": ">= ", "at most": "<= ", "unclear": "~ "}


def tuning(cost: TuningCost) -> str:
    """Return the steps that finding an arm's settings took."""
    return "unknown" if cost.steps is None else f"{cost.steps:,}"


def all_in(found: Speedup, estimate: Estimate | None, among: str = "") -> str:
    """Return a speedup with the tuning in it, its interval, and those that share the tuning."""
    text = f"{point(found, estimate)} {'' if found.mostly_misses else interval(estimate)}".rstrip()
    return f"{text} among {among}" if among and estimate is not None and not found.mostly_misses else text


def point(found: Speedup, estimate: Estimate | None) -> str:
    """Return a speedup without its interval, and what it is a bound of where some tuning is unknown."""
    if found.mostly_misses or found.training is None:
        return "none"
    return "unknown" if estimate is None else f"{BOUNDS[estimate.bound]}{ratio(estimate.median)}"


def sharing(found: Speedup) -> str:
    """Name those that share the tuning: "5 seeds"."""
    return counted(len(found.pairs), "seed")


def probability(estimate: Estimate | None) -> str:
    """Return the share of pairs in which the arm is faster."""
    if estimate is None:
        return "-"
    ties = f", {estimate.ties} tied" if estimate.ties else ""
    return f"{estimate.probability_faster:.2f} ({estimate.wins} of {estimate.pairs}{ties})"


def seed_ratio(pair: Pair, cost: Cost) -> str:
    """Return one pair's speedup, marked as a bound where it is one; 0 where the arm misses."""
    if pair.both_miss:
        return "both miss"
    if not pair.arm.reached:
        return "0"
    return f"{BOUNDS[pair.bound(cost)]}{ratio(pair.ratio(cost))}"


def verdict(found: Speedup) -> str:
    """Say in words what the pairs show, whoever it is for."""
    seeds = len(found.pairs)
    if not seeds:
        return f"no seed in common with {found.baseline}"
    if found.mostly_misses:
        return f"no speedup: {found.arm_misses} of {counted(seeds, 'run misses', 'runs miss')} the target"
    parts = [
        f"{found.finding(estimate)} in {what}"
        for what, estimate in (("training steps", found.training), ("all steps", found.net))
    ]
    if found.training is not None and found.training.interval is None:
        return f"undecided: {counted(found.training.pairs, 'pair makes', 'pairs make')} no interval"
    if found.all_in is not None:
        parts.append(f"{found.finding(found.all_in)} all-in")
    return "; ".join(parts)


def misses(found: Speedup) -> str:
    """Count the misses of either side."""
    return f"arm {found.arm_misses}, baseline {found.baseline_misses}, both {found.both_miss} of {len(found.pairs)}"


def steps(value: float | None) -> str:
    """Return steps for a person."""
    return "-" if value is None else f"{value:,.0f}"


def multiples(limit: PracticalLimit, outcomes: Collection[TargetOutcome]) -> str:
    """Return the median steps to the target, and all steps, as multiples of the practical limit: "1.10x, 1.17x"."""
    found = [median_cost(outcomes, kind) for kind in ("step", "total_steps")]
    return ", ".join("-" if each is None else ratio(limit.multiple(each)) for each in found)


def seeds(found: Iterable[int]) -> str:
    """Return how many seeds these are, and which: "5 (0 to 4)"."""
    every = sorted(found)
    if len(every) > 2 and every == list(range(every[0], every[-1] + 1)):
        return f"{len(every)} ({every[0]} to {every[-1]})"
    return f"{len(every)} ({', '.join(map(str, every))})"


def median(values: Sequence[float]) -> float | None:
    """Return the median; None of nothing."""
    return statistics.median(values) if values else None
