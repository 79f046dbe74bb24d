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
    return read_settings({**node(), "reduction_factor": 3, "max_rungs": 3, "shortest_steps": 20, **changes})


def test_the_default_budget_pays_for_one_bracket() -> None:
    plan = plan_tuning(settings(), 2117, 2000, None, None)
    assert plan.brackets == (Bracket((9, 3, 1), (78, 235, 706)),)
    assert (plan.budget_steps, plan.steps, plan.configurations) == (2000, 9 * 78 + 3 * 235 + 706, 9)


@pytest.mark.parametrize("budget", [None, 2500, 4000, 6351, 20_000])
@pytest.mark.parametrize("trials", [None, 4, 9, 40])
def test_a_plan_costs_the_budget_or_more_and_its_last_run_is_needed(
    budget: int | None, trials: int | None
) -> None:
    if trials is not None and trials * 2117 < (budget or 0):
        with pytest.raises(ConfigError, match=f"--trials {trials} can use"):
            plan_tuning(settings(), 2117, 2000, budget, trials)
        return
    plan = plan_tuning(settings(), 2117, 2000, budget, trials)
    assert plan.steps >= max(2000, budget or 0)
    before = sum(bracket.steps for bracket in plan.brackets[:-1])
    assert before < plan.budget_steps
    assert trials is None or plan.configurations <= trials
    assert len({bracket.lengths[-1] for bracket in plan.brackets}) == 1


def test_a_budget_of_three_searches_pays_for_runs_of_full_length() -> None:
    assert plan_tuning(settings(), 2117, 2000, 6000, None).brackets[0].lengths[-1] == 2117


def test_no_run_is_shorter_than_allowed_unless_it_is_the_longest() -> None:
    assert plan_tuning(settings(), 297, 280, None, None).brackets[0].lengths == (33, 99)
    assert plan_tuning(settings(), 30, 30, None, None).brackets[0].lengths == (10,)


@pytest.mark.parametrize(
    ("budget", "trials", "said"),
    [
        (
            1999,
            None,
            r"as many steps as AutoLRS's search makes here \(2,000\) or more.* got --budget-steps 1999",
        ),
        (None, 0, "1 configuration or more, but got --trials 0"),
        (5000, 1, "budget of 5,000 steps, but --trials 1 can use 2,117 at most"),
    ],
)
def test_a_plan_that_would_be_unfair_is_refused(budget: int | None, trials: int | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_tuning(settings(), 2117, 2000, budget, trials)


def test_every_seed_has_one_purpose() -> None:
    assert [purpose(seed) for seed in (0, 999, 1000, 1999, 2000)] == [
        "reporting",
        "reporting",
        "tuning",
        "tuning",
        "calibration",
    ]
