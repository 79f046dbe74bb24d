"""Which runs a reproduction takes: lengths as they come out, seeds per arm, and the grid that is known in hindsight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from autolrs_cli.experiments.reproduce.arms import ARMS, STUDIES, Arm, Base, seeds_of
from autolrs_cli.experiments.reproduce.cost import cost
from autolrs_cli.experiments.reproduce.hindsight import SEED, Candidate, described, fewest, grid, next_runs
from autolrs_cli.experiments.reproduce.lengths import at_most, mostly, next_share
from autolrs_cli.experiments.reproduce.presets import EVENING
from autolrs_cli.experiments.seeds import purpose
from autolrs_cli.experiments.tune.brackets import plan_tuning
from autolrs_cli.experiments.tune.search_space import shipped_budget

TUNING = plan_tuning(shipped_budget(), 1000, 900, None, None)
BASE = Base(
    "resnet50", "bench", 1000, 900, 200, (0.02, 1.0), original_decays=True, tuning=TUNING, optimizer="sgd"
)


def lengths_run(reaches: Callable[[float], bool]) -> list[float]:
    """Play an arm that reaches the target where `reaches(length)`; return its lengths, in order."""
    reached: dict[float, bool] = {}
    while (share := next_share(reached)) is not None:
        assert share not in reached
        reached[share] = reaches(share)
    return list(reached)


@pytest.mark.parametrize(
    ("shortest", "run"),
    [
        (0.1, [1.0, 0.8, 0.6, 0.4]),
        (0.55, [1.0, 0.8, 0.6, 0.4]),
        (0.7, [1.0, 0.8, 0.6]),
        (0.9, [1.0, 0.8]),
        (1.5, [1.0, 2.0]),
        (9.0, [1.0, 2.0]),
    ],
)
def test_full_length_comes_first_shorter_while_it_reaches_and_longer_where_it_misses(
    shortest: float, run: list[float]
) -> None:
    assert lengths_run(lambda share: share >= shortest) == run


def test_the_dearest_case_is_what_the_cost_names() -> None:
    dearest = max(
        sum(lengths_run(lambda share, least=least: share >= least)) for least in (0.1, 0.5, 0.7, 0.9, 1.5)
    )
    assert at_most((1.0, 0.8, 0.6, 0.4, 2.0)) == pytest.approx(dearest)
    assert at_most((1.0,)) == 1.0


def test_an_arm_reaches_the_target_where_its_median_run_does() -> None:
    assert mostly([True, True, False])
    assert not mostly([True, False])
    assert not mostly([True, False, False])
    assert not mostly([])


def test_arms_are_told_apart_by_their_titles_and_seeds_are_the_first_ones() -> None:
    assert len({arm.title for arm in ARMS}) == len(ARMS)
    assert {len(seeds_of(arm, range(7))) for arm in ARMS} == {3, 7}
    by_title = {arm.title: arm for arm in ARMS}
    for decides in (
        "original",
        "autolrs",
        "tuned constant + averaged weights",
        "tuned WSD + averaged weights",
    ):
        assert seeds_of(by_title[decides], range(7)) == tuple(range(7))
    assert seeds_of(by_title["tuned clr"], range(7)) == (0, 1, 2)
    assert seeds_of(by_title["tuned clr"], range(2)) == (0, 1)


def test_every_arm_says_all_that_sets_it_apart() -> None:
    overrides = [arm.overrides(BASE) for arm in ARMS]
    assert len(set(overrides)) == len(overrides)
    assert ("schedule=autolrs", "search=paper", "search.lr_min=0.002", "search.lr_max=10") in overrides
    constant = next(arm for arm in ARMS if arm.title == "tuned constant + averaged weights")
    found = constant.overrides(BASE, "tuned/resnet50/bench/constant_ema-sgd-00fe31b6")
    assert found == ("schedule=tuned/resnet50/bench/constant_ema-sgd-00fe31b6", "average=ema")
    assert all(not arm.tuned for arm in ARMS if arm.searched)


def test_the_schedule_free_optimizer_is_the_one_nearest_to_the_recipes_own() -> None:
    (free,) = [arm for arm in ARMS if arm.title == "tuned schedule-free"]
    assert free.settings(BASE) == ("optimizer=schedulefree_sgd",)
    assert free.study_settings(BASE) == ("optimizer=schedulefree_sgd", "tune.space.peak_lr.high=50")
    assert free.settings(replace(BASE, optimizer="adam")) == ("optimizer=schedulefree_adamw",)
    assert free.average == "none", "it keeps an average of its own"


def test_a_study_is_of_one_schedule_under_one_averaging() -> None:
    assert len({(arm.schedule, arm.average, arm.more) for arm in STUDIES}) == len(STUDIES)


def test_arms_that_decay_may_be_run_at_each_length_and_the_original_where_it_does() -> None:
    original = next(arm for arm in ARMS if arm.title == "original")
    assert original.lengths_at_most(BASE) == (1.0, 0.8, 0.6, 0.4, 2.0)
    without_end = Base(
        "transformer",
        "bench",
        1000,
        900,
        200,
        (0.02, 1.0),
        original_decays=False,
        tuning=TUNING,
        optimizer="sgd",
    )
    assert original.lengths_at_most(without_end) == (1.0,)
    assert Arm("any", "constant").lengths_at_most(BASE) == (1.0,)


def test_an_evening_is_four_arms_at_full_length_and_no_study() -> None:
    assert [arm.title for arm in EVENING.arms(ARMS)] == [
        "original",
        "autolrs",
        "lean search",
        "original + averaged weights",
    ]
    assert all(arm.lengths_at_most(BASE) == (1.0,) for arm in EVENING.arms(ARMS))
    assert EVENING.arms(STUDIES) == ()
    entries = {what: (runs, steps) for what, runs, steps in cost(BASE, EVENING.seeds, preset=EVENING)}
    assert entries == {
        "calibration": (3, 3_000),
        "original": (3, 3_000),
        "autolrs": (3, 3 * 1_900),
        "lean search": (3, 3 * 1_200),
        "original + averaged weights": (3, 3_000),
    }


# The grid.

FULL = 1000


def play(needs: Callable[[Candidate], float], full: int = FULL) -> dict[Candidate, dict[int, float | None]]:
    """Carry the grid out on schedules that need `needs(candidate)` steps, however long they are."""
    seen: dict[Candidate, dict[int, float | None]] = {candidate: {} for candidate in grid()}
    while wanted := next_runs(seen, full):
        assert len(set(wanted)) == len(wanted)
        for candidate, length in wanted:
            assert length not in seen[candidate], "a run is made once"
            taken = needs(candidate) if not candidate.decays else float(length)
            seen[candidate][length] = taken if needs(candidate) <= length else None
    return seen


def runs(seen: dict[Candidate, dict[int, float | None]]) -> int:
    return sum(len(own) for own in seen.values())


def test_the_grid_is_of_seven_peaks_a_factor_of_two_apart_on_a_seed_of_its_own() -> None:
    times = sorted({candidate.times for candidate in grid()})
    assert (times[0], times[-1], len(times)) == (1 / 8, 8, 7)
    assert {b / a for a, b in pairwise(times)} == {2.0}
    assert {(c.schedule, c.average, c.decays) for c in grid()} == {
        ("linear", "none", True),
        ("wsd", "none", True),
        ("constant", "ema", False),
    }
    assert purpose(SEED) == "hindsight"


def test_a_constant_lr_that_beats_all_at_full_length_leaves_only_short_runs_to_make() -> None:
    """Shorter decayed runs are tried only where they would be fewer steps than its."""
    seen = play(lambda c: 300 if (c.schedule, c.times) == ("constant", 2.0) else 950)
    best = fewest(seen)
    assert best is not None
    assert (best[0].schedule, best[0].times, best[2]) == ("constant", 2.0, 300)
    decayed = [own for candidate, own in seen.items() if candidate.decays]
    assert {tuple(own) for own in decayed} == {(1000, 250, 275)}, "below 300 alone would they be fewer"
    assert runs(seen) == 21 + 14 * 2


def test_the_shortest_length_is_found_to_the_resolution_and_by_the_right_schedule() -> None:
    seen = play(lambda c: 410 if (c.schedule, c.times) == ("wsd", 4.0) else 2000 if c.times > 4 else 930)
    best = fewest(seen)
    assert best is not None
    candidate, length, steps = best
    assert (candidate.schedule, candidate.times) == ("wsd", 4.0)
    assert 410 <= steps <= 410 * 1.15
    assert length == steps, "a decayed run counts to its end"
    assert max(seen[candidate]) == FULL
    assert all(list(own) == [FULL] for c, own in seen.items() if c.times > 4), "what misses is given up"


def test_a_run_that_could_not_lower_the_limit_is_not_made() -> None:
    seen = play(lambda c: 700 if c.schedule == "linear" else 990)
    limit = fewest(seen)
    assert limit is not None
    for own in seen.values():
        assert all(length >= 350 for length in own), "no length far below what anything reached"
    assert runs(seen) < 60


def test_where_nothing_reaches_the_target_twice_the_length_is_tried_and_then_no_more() -> None:
    seen = play(lambda c: 1e9)
    assert fewest(seen) is None
    assert runs(seen) == 42
    longer = play(lambda c: 1500 if c.times == 1 else 1e9)
    best = fewest(longer)
    assert best is not None
    assert best[2] == 1500


def test_what_was_tried_is_said_in_words() -> None:
    said = described(play(lambda c: 700))
    assert "7 peaks from 0.125x to 8x the original's" in said
    assert "linear (average=none), wsd (average=none), constant (average=ema)" in said
    assert "shorter ones only while the target was still reached" in said
