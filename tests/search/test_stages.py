"""The plan: stages double, restart in each phase, and the run ends in training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolrs_cli.contracts import Phase
from autolrs_cli.search import StageBudget
from autolrs_cli.search.stages import MIN_TRIAL_STEPS, plan_stages, stage_problems


def budget(
    first: int = 1000, longest: int = 8000, share: float = 0.1, objective: str = "published"
) -> StageBudget:
    return StageBudget(
        initial_stage_steps=first,
        max_stage_steps=longest,
        trial_fraction=share,
        max_rollbacks=2,
        objective=objective,
    )


def phase(steps: int) -> Phase:
    return Phase("train", steps, 32)


def test_stages_double_up_to_the_longest_as_published() -> None:
    plan = plan_stages([phase(100 + 31000)], 100, budget(), 10)
    assert [(s.kind, s.first_step, s.steps, s.trial_steps) for s in plan] == [
        ("stage", 100, 1000, 100),
        ("stage", 1100, 2000, 200),
        ("stage", 3100, 4000, 400),
        ("stage", 7100, 8000, 800),
        ("stage", 15100, 8000, 800),
        ("stage", 23100, 8000, 800),
    ]
    assert [s.objective for s in plan] == ["train", "train", "train", "train", "choose", "choose"]


def test_the_last_stage_is_cut_to_what_is_left() -> None:
    plan = plan_stages([phase(3500)], 0, budget(), 10)
    assert [s.steps for s in plan] == [1000, 2000, 500]


def test_a_rest_too_short_to_search_joins_the_stage_before() -> None:
    plan = plan_stages([phase(3150)], 0, budget(), 10)
    assert [(s.steps, s.trial_steps) for s in plan] == [(1000, 100), (2150, 215)]


def test_doubling_starts_anew_in_each_phase() -> None:
    plan = plan_stages([phase(3000), phase(3000)], 0, budget(), 10)
    assert [(s.phase, s.stage, s.first_step, s.steps) for s in plan] == [
        (0, 0, 0, 1000),
        (0, 1, 1000, 2000),
        (1, 2, 3000, 1000),
        (1, 3, 4000, 2000),
    ]


@pytest.mark.parametrize("objective", ["train", "choose"])
def test_the_objective_can_be_fixed(objective: str) -> None:
    assert {s.objective for s in plan_stages([phase(50000)], 0, budget(objective=objective), 10)} == {
        objective
    }


@given(
    steps=st.integers(400, 60_000),
    warmup=st.integers(0, 199),
    first=st.integers(200, 2000),
    doublings=st.integers(0, 4),
    share=st.floats(0.1, 1.0),
)
def test_any_plan_covers_each_step_once_and_can_be_searched(
    steps: int, warmup: int, first: int, doublings: int, share: float
) -> None:
    plan = plan_stages([phase(steps)], warmup, budget(first, first * 2**doublings, share), 10)
    at = warmup
    for segment in plan:
        assert segment.first_step == at
        assert segment.steps > 0
        at += segment.steps
    assert at == steps
    assert all(MIN_TRIAL_STEPS <= s.trial_steps <= s.steps for s in plan)
    assert not stage_problems(plan, [phase(steps)], warmup)


def test_a_trial_that_is_too_short_is_named_with_the_way_out() -> None:
    phases = [phase(1000)]
    (problem,) = stage_problems(plan_stages(phases, 0, budget(100, 100), 10), phases, 0)
    assert "20 steps or more" in problem
    assert "search.trial_fraction" in problem


def test_a_warm_up_as_long_as_the_run_is_named() -> None:
    phases = [phase(1000)]
    (problem,) = stage_problems(plan_stages(phases, 1000, budget(), 10), phases, 1000)
    assert "schedule.warmup_steps=1000" in problem
