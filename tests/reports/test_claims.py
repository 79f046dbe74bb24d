"""Verdicts on the paper's claims, and the table that shows them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from autolrs_cli.reports import claims
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.racing import Outcome
from autolrs_cli.reports.speedups import Speedup, speedup


def outcome(step: float, *, reached: bool = True, cost: float = 2.0) -> Outcome:
    return Outcome(reached, step, step * cost, step, 1000, Path("run"))


def against(baseline: list[float], ours: list[float], missed: tuple[int, ...] = ()) -> Speedup:
    """AutoLRS reaches the target at `ours`, the original schedule at `baseline`, one entry a seed."""
    return speedup(
        "autolrs",
        "original",
        {seed: outcome(step, reached=seed not in missed) for seed, step in enumerate(ours)},
        {seed: outcome(step, cost=1.0) for seed, step in enumerate(baseline)},
    )


def check(found: Speedup | None, claim: float | None = 1.43) -> ClaimCheck:
    return ClaimCheck("transformer", claim, found, {}, {}, "loss <= 1")


FIVE = [1000.0] * 5


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([600, 620, 640, 660, 680], "reproduced"),  # 1.47x to 1.67x
        ([650, 690, 700, 720, 740], "reproduced"),  # 1.35x to 1.54x
        ([800, 810, 820, 830, 840], "not reproduced"),  # 1.19x to 1.25x: faster, but by less
        ([1300, 1310, 1320, 1330, 1340], "not reproduced"),  # slower
        ([500, 700, 1000, 1400, 2000], "undecided"),
    ],
)
def test_the_interval_decides(ours: list[float], verdict: str) -> None:
    assert check(against(FIVE, ours)).verdict[0] == verdict


def test_mostly_missing_is_no_reproduction() -> None:
    found = check(against(FIVE, [600.0] * 5, missed=(0, 1, 2)))
    assert found.verdict == ("not reproduced", "AutoLRS misses the target on 3 of 5 seeds")


def test_fewer_than_five_seeds_decide_nothing() -> None:
    verdict, why = check(against([1000.0] * 3, [500.0] * 3)).verdict
    assert verdict == "undecided"
    assert "3 seeds make no interval" in why


def test_a_recipe_without_a_claim_or_a_figure_is_undecided() -> None:
    assert check(against(FIVE, FIVE), claim=None).verdict[0] == "undecided"
    assert check(None).verdict[0] == "undecided"


def test_the_table_has_claims_means_and_the_net_cost() -> None:
    one, other = check(against(FIVE, [500.0] * 5)), check(against(FIVE, [800.0] * 5), claim=1.5)
    rows = {row[0]: row for row in claims.rows([one, other])}
    assert rows["transformer"][1:3] == ("1.50x", "1.25x [1.25, 1.25]")  # the later of the two
    assert rows["transformer"][3] == "0.62x [0.62, 0.62]", "two steps made per step kept"
    assert rows["mean"][1:4] == ("1.46x", "1.62x", "0.81x")


def test_one_recipe_without_a_figure_leaves_no_mean() -> None:
    rows = claims.rows([check(against(FIVE, FIVE)), check(None)])
    assert rows[-1][:4] == ("mean", "1.43x", "-", "-")


def test_the_mean_over_tuned_schedules_stands_beside_its_own_claim() -> None:
    base = check(against(FIVE, [500.0] * 5))
    found = ClaimCheck(
        base.recipe,
        base.claim,
        base.found,
        {"tuned clr": against(FIVE, [900.0] * 5)},
        {"tuned clr": against(FIVE, [500.0] * 5), "tuned sgdr": against(FIVE, [1000.0] * 5)},
        base.target,
    )
    assert claims.rows([found])[-1][:4] == ("mean over tuned", "1.31x", "1.50x", "0.75x")
    text = claims.as_markdown([found], "autolrs reproduce transformer")
    assert "Made by `autolrs reproduce transformer`" in text
    assert "| tuned clr | 1.11x [1.11, 1.11] |" in text
    parsed = list(csv.DictReader(claims.as_csv([found]).splitlines()))
    assert [(row["arm"], row["training_steps"], row["claim"]) for row in parsed] == [
        ("autolrs", "2.0", "1.43"),
        ("tuned clr", str(1000 / 900), ""),
    ]
