"""What a study will make is known beforehand: its runs, their lengths, and that they cost the budget."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from harness import composed

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.seeds import purpose
from autolrs_cli.experiments.tune.brackets import Bracket, plan_tuning
from autolrs_cli.experiments.tune.search_space import TuneSettings, read_settings


@functools.cache
def node() -> dict[str, Any]:
    found: dict[str, Any] = composed("recipe=resnet50", "scale=tiny", "tune=cosine")["tune"]
    return found


def settings(**changes: int) -> TuneSettings:
    shipped = {"budget_lengths": 3, "finalists": 2, "entrants": 9, "shortest_steps": 20}
    return read_settings({**node(), **shipped, **changes})


def test_by_default_a_study_makes_three_full_lengths_and_the_last_rung_has_the_full_length() -> None:
    plan = plan_tuning(settings(), 2117, 2000, None, None)
    assert plan.brackets == (Bracket((9, 2), (236, 2117)),)
    assert (plan.budget_steps, plan.steps, plan.runs, plan.configurations) == (6351, 6358, 11, 9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "clr", "sgdr", "wsd"])
def test_every_rival_gets_the_same_budget(schedule: str) -> None:
    own = read_settings(composed("recipe=resnet50", "scale=bench", f"tune={schedule}")["tune"])
    plan = plan_tuning(own, 2117, 2000, None, None)
    assert (plan.steps, plan.brackets[0].lengths[-1]) == (6358, 2117)


@pytest.mark.parametrize("budget", [None, 6351, 6352, 20_000])
@pytest.mark.parametrize("trials", [None, 12, 13, 40])
def test_a_plan_costs_the_budget_or_more_in_whole_brackets_and_its_last_one_is_needed(
    budget: int | None, trials: int | None
) -> None:
    plan = plan_tuning(settings(), 2117, 2000, budget, trials)
    assert plan.steps >= plan.budget_steps >= 6351
    assert (len(plan.brackets) - 1) * 6351 < plan.budget_steps
    assert {bracket.lengths[-1] for bracket in plan.brackets} == {2117}
    assert trials is None or plan.configurations <= trials


@pytest.mark.parametrize(
    ("trials", "bracket"),
    [
        (3, Bracket((3,), (2117,))),
        (4, Bracket((4, 2), (530, 2117))),
        (20, Bracket((20, 2), (106, 2117))),
        (500, Bracket((105, 2), (21, 2117))),  # no run is shorter than 20 steps
    ],
)
def test_however_many_configurations_share_it_the_budget_is_three_lengths(
    trials: int, bracket: Bracket
) -> None:
    plan = plan_tuning(settings(), 2117, 2000, None, trials)
    assert plan.brackets == (bracket,)
    assert 6351 <= plan.steps < 6351 + bracket.runs[0]


def test_no_run_is_shorter_than_allowed_unless_it_is_the_longest() -> None:
    assert plan_tuning(settings(), 130, 120, None, None).brackets == (Bracket((6, 2), (22, 130)),)
    assert plan_tuning(settings(), 30, 30, None, None).brackets == (Bracket((3,), (30,)),)


def test_a_search_that_costs_more_than_three_lengths_is_matched() -> None:
    plan = plan_tuning(settings(), 1000, 4500, None, None)
    assert (plan.budget_steps, len(plan.brackets)) == (4500, 2)


@pytest.mark.parametrize(
    ("budget", "trials", "said"),
    [
        (6350, None, r"3 runs of full length make, .* \(2,000\), .*: 6,351 here, but got --budget-steps 6350"),
        (None, 2, r"3 configurations or more for each 6,351, but got --trials 2. Set it to 3 or more"),
        (None, 0, "but got --trials 0"),
        (12_000, 5, "but got --trials 5. Set it to 6 or more"),
    ],
)  # fmt: skip
def test_a_plan_that_would_be_unfair_is_refused(budget: int | None, trials: int | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_tuning(settings(), 2117, 2000, budget, trials)


def test_every_configuration_must_leave_the_short_runs_a_part_of_the_budget() -> None:
    with pytest.raises(ConfigError, match=r"`tune\.finalists < tune\.budget_lengths` must hold"):
        settings(finalists=3)


def test_every_seed_has_one_purpose() -> None:
    assert [purpose(seed) for seed in (0, 999, 1000, 1999, 2000)] == [
        "reporting",
        "reporting",
        "tuning",
        "tuning",
        "calibration",
    ]
