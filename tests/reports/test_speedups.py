"""Arithmetic of speedups on outcomes with known answers."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autolrs_cli.reports.compare.outcomes import TargetOutcome, median_cost
from autolrs_cli.reports.compare.speedups import (
    GENERATOR_SEED,
    RESAMPLES,
    Speedup,
    bootstrap_interval,
    speedup,
)


def outcome(step: float, *, reached: bool = True, total: float | None = None) -> TargetOutcome:
    return TargetOutcome(reached, step, total or step, step / 2, int(step), Path("run"))


def versus(arm: list[TargetOutcome], baseline: list[TargetOutcome]) -> Speedup:
    return speedup("arm", "baseline", dict(enumerate(arm)), dict(enumerate(baseline)))


def ratios(found: Speedup) -> list[float | None]:
    return [pair.ratio("step") for pair in found.pairs]


def miss(step: float = 1000) -> TargetOutcome:
    return outcome(step, reached=False)


def test_every_ratio_is_baseline_over_arm_in_kept_steps_in_all_steps_and_in_seconds() -> None:
    found = versus([outcome(100, total=250)], [outcome(200)])
    assert found.training is not None
    assert found.net is not None
    assert found.seconds is not None
    assert (found.training.median, found.net.median, found.seconds.median) == (2.0, 0.8, 2.0)


def test_an_arm_that_misses_counts_as_zero_and_a_baseline_that_misses_as_its_full_length() -> None:
    found = versus([miss(), outcome(400), miss()], [outcome(500), miss(1000), miss()])
    assert ratios(found) == [0.0, 2.5, None]
    assert (found.arm_misses, found.baseline_misses, found.both_miss) == (2, 2, 1)


def test_pairs_in_which_both_miss_are_counted_but_have_no_part_in_the_median() -> None:
    found = versus([outcome(100), outcome(100), miss()], [outcome(300), outcome(100), miss()])
    assert found.training is not None
    assert (found.training.median, found.training.pairs, found.both_miss) == (2.0, 2, 1)


def test_if_more_than_half_of_the_arms_runs_miss_there_is_no_speedup_in_words() -> None:
    found = versus([miss(), miss(), outcome(10)], [outcome(100)] * 3)
    assert found.mostly_misses
    assert found.finding(found.training) == "no speedup"
    half = versus([miss(), outcome(10)], [outcome(100)] * 2)
    assert not half.mostly_misses


def test_ties_count_half_in_the_probability_of_being_faster() -> None:
    found = versus([outcome(100), outcome(50), outcome(200), outcome(100)], [outcome(100)] * 4)
    assert found.training is not None
    assert (found.training.wins, found.training.ties) == (1, 2)
    assert found.training.probability_faster == 0.5


@pytest.mark.parametrize("seeds", [1, 4])
def test_fewer_than_five_seeds_make_no_interval_and_decide_nothing(seeds: int) -> None:
    found = versus([outcome(10)] * seeds, [outcome(100)] * seeds)
    assert found.training is not None
    assert found.training.median == 10
    assert found.training.interval is None
    assert found.finding(found.training) == "undecided"


def test_only_common_seeds_are_paired() -> None:
    found = speedup("a", "b", {1: outcome(10), 2: outcome(10)}, {2: outcome(30), 3: outcome(10)})
    assert [(pair.seed, pair.ratio("step")) for pair in found.pairs] == [(2, 3.0)]


def test_the_interval_is_that_of_a_direct_computation() -> None:
    values = [0.7, 1.3, 0.9, 1.1, 2.0, 1.2]
    drawn = np.random.default_rng(GENERATOR_SEED).integers(0, len(values), (RESAMPLES, len(values)))
    medians = sorted(statistics.median(values[i] for i in row) for row in drawn.tolist())
    low = medians[math.floor(0.025 * (RESAMPLES - 1))]
    high = medians[math.ceil(0.975 * (RESAMPLES - 1))]
    assert bootstrap_interval(np.array(values)) == pytest.approx((low, high))


def test_the_interval_comes_close_to_that_over_all_possible_resamples() -> None:
    values = [0.5, 0.8, 1.0, 1.6, 3.0]
    every = sorted(statistics.median(row) for row in itertools.product(values, repeat=5))
    exact = every[int(0.025 * len(every))], every[int(0.975 * len(every))]
    assert bootstrap_interval(np.array(values)) == exact


def test_equal_pairs_give_an_interval_of_no_width_and_the_same_answer_each_time() -> None:
    assert bootstrap_interval(np.array([1.2] * 5)) == (1.2, 1.2)
    values = np.array([0.7, 1.3, 0.9, 1.1, 2.0])
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_where_the_baseline_misses_often_the_interval_has_no_upper_end() -> None:
    found = versus([outcome(100)] * 5, [outcome(200), miss(200), miss(200), miss(200), outcome(200)])
    assert found.training is not None
    assert found.training.median == 2.0
    assert found.training.interval == (2.0, math.inf)


@pytest.mark.parametrize(
    ("arm", "finding"), [(50, "faster"), (200, "slower")], ids=["above one", "below one"]
)
def test_an_interval_on_one_side_of_one_decides(arm: float, finding: str) -> None:
    found = versus([outcome(arm)] * 5, [outcome(100)] * 5)
    assert found.finding(found.training) == finding


def test_what_decays_needs_some_length_between_the_one_that_missed_and_the_one_that_reached() -> None:
    decayed = replace(outcome(1000), missed=miss(800))
    over = versus([outcome(500)] * 5, [decayed] * 5)
    assert over.training is not None
    assert (over.training.median, over.training.interval) == (2.0, (1.6, 2.0))
    under = versus([decayed] * 5, [outcome(500)] * 5)
    assert under.training is not None
    assert under.training.interval == (0.5, 0.625)
    nearly = versus([outcome(900)] * 5, [decayed] * 5)
    assert nearly.finding(nearly.training) == "undecided", "at 800 steps or a little more it would be slower"


def test_what_decays_and_was_not_run_any_shorter_makes_bounds_that_decide_nothing_in_its_disfavour() -> None:
    shortest = replace(outcome(1000), at_shortest=True)
    over = versus([outcome(500)] * 5, [shortest] * 5)
    assert over.training is not None
    assert (over.training.bound, over.finding(over.training)) == ("at most", "undecided")
    slower = versus([outcome(2000)] * 5, [shortest] * 5)
    assert slower.finding(slower.training) == "slower"
    under = versus([shortest] * 5, [outcome(1500)] * 5)
    assert under.training is not None
    assert (under.training.bound, under.training.interval) == ("at least", (1.5, math.inf))
    assert under.finding(under.training) == "faster"
    both = versus([shortest] * 5, [shortest] * 5)
    assert both.training is not None
    assert (both.training.bound, both.finding(both.training)) == ("unclear", "undecided")


def test_a_median_over_seeds_takes_a_miss_for_longer_than_all() -> None:
    assert median_cost([outcome(10), outcome(30), miss(20)], "step") == 30
    assert median_cost([outcome(10), miss(20)], "step") is None


def test_a_shorter_run_that_took_longer_widens_nothing() -> None:
    """Two runs of one speed, the shorter one on a loaded machine."""
    slow = replace(miss(800), seconds=900.0)
    decayed = replace(outcome(1000), missed=slow)
    found = versus([outcome(500)] * 5, [decayed] * 5)
    assert found.seconds is not None
    assert found.seconds.interval == (2.0, 2.0)


def test_each_seed_is_marked_as_its_median_is() -> None:
    shortest = replace(outcome(1000), at_shortest=True)
    marks = [
        versus([arm], [baseline]).pairs[0].bound("step")
        for arm, baseline in (
            (outcome(500), outcome(1000)),
            (outcome(500), shortest),
            (shortest, outcome(500)),
            (shortest, shortest),
            (outcome(500), miss()),
            (miss(), shortest),
        )
    ]
    assert marks == ["exact", "at most", "at least", "unclear", "at least", "exact"]
