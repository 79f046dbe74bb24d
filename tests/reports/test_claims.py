"""Verdicts on the paper's claims, and the table that shows them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from autolrs_cli.reports.claims import ClaimCheck, judge_mean, mean_speedup
from autolrs_cli.reports.compare.outcomes import TargetOutcome
from autolrs_cli.reports.compare.speedups import Speedup, speedup
from autolrs_cli.reports.render import claims_tables
from autolrs_cli.reports.render.claims_tables import sections


def outcome(
    step: float, *, reached: bool = True, cost: float = 2.0, at_shortest: bool = False
) -> TargetOutcome:
    return TargetOutcome(reached, step, step * cost, step, 1000, Path("run"), at_shortest)


def against(
    baseline: list[float],
    ours: list[float],
    missed: tuple[int, ...] = (),
    baseline_missed: tuple[int, ...] = (),
    at_shortest: tuple[int, ...] = (),
) -> Speedup:
    """AutoLRS reaches the target at `ours`, the original schedule at `baseline`, one entry a seed."""
    return speedup(
        "autolrs",
        "original",
        {seed: outcome(step, reached=seed not in missed) for seed, step in enumerate(ours)},
        {
            seed: outcome(
                step, cost=1.0, reached=seed not in baseline_missed, at_shortest=seed in at_shortest
            )
            for seed, step in enumerate(baseline)
        },
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


def test_mere_upper_bounds_reproduce_nothing() -> None:
    ours = [500.0] * 5
    assert check(against(FIVE, ours, at_shortest=(0, 1))).verdict[0] == "reproduced"
    verdict, why = check(against(FIVE, ours, at_shortest=(0, 1, 2))).verdict
    assert verdict == "undecided"
    assert "3 of 5 seeds, so the ratios are upper bounds" in why
    slower = check(against(FIVE, [1300.0] * 5, at_shortest=(0, 1, 2)))
    assert slower.verdict[0] == "not reproduced", "an upper bound that is too low is low enough"


def table(*checks: ClaimCheck) -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in sections(checks)[0].rows}


def test_the_table_has_claims_means_and_the_net_cost() -> None:
    one = check(against(FIVE, [500.0] * 5))
    other = ClaimCheck("bert", 1.5, against(FIVE, [800.0] * 5), {}, {}, "loss <= 1")
    rows = table(one, other)
    assert rows["transformer"][2:6] == ("1.43x", "2.00x [2.00, 2.00]", "5 of 5", "1.00x [1.00, 1.00]")
    assert rows["bert"][2:4] == ("1.50x", "1.25x [1.25, 1.25]")
    assert rows["bert"][5] == "0.62x [0.62, 0.62]", "two steps made per step kept"
    assert rows["mean"][2:4] == ("1.46x", "1.62x [1.62, 1.62]")
    assert rows["mean"][5] == "0.81x [0.81, 0.81]"
    assert rows["mean"][claims_tables.VERDICT].startswith("reproduced: the interval lies above 1")


def test_where_most_runs_miss_no_figure_is_named_anywhere() -> None:
    """Three of five miss on both sides, the other two pairs are at 2: no 2.00x (method rule 4)."""
    missing = against(FIVE, [500.0] * 5, missed=(0, 1, 2), baseline_missed=(0, 1, 2))
    good = ClaimCheck(
        "bert", 1.5, against(FIVE, [500.0] * 5), {"tuned clr": missing}, {"tuned clr": missing}, ""
    )
    bad = check(missing)
    rows = table(good, bad)
    assert rows["transformer"][3:9] == ("none", "2 of 2", "none", "none", "none", "3, 3")
    assert rows["mean"][3:6] == ("none", "", "none")
    assert rows["mean"][claims_tables.VERDICT] == "not reproduced: no speedup in 1 of 2"
    assert sections([good])[1].rows[0][3] == "none"
    assert sections([good])[2].rows[0][3] == "none"
    assert "2.0," not in claims_tables.as_csv([bad])
    assert mean_speedup([good.found, missing]) is None


def test_the_interval_of_a_mean_is_that_of_resampling_each_comparison_for_itself() -> None:
    known = against(FIVE, [500.0] * 5)
    varied = against(FIVE, [400.0, 500.0, 1000.0, 1000.0, 2000.0])  # ratios 2.5, 2, 1, 1, 0.5
    mean = mean_speedup([known, varied])
    assert mean is not None
    assert mean.training.median == pytest.approx((2 + 1) / 2)
    assert mean.training.interval == pytest.approx((1.25, 2.25)), (
        "2 with the ends of the medians, 0.5 and 2.5"
    )
    assert judge_mean({"one": known, "other": varied}, 2.5) == (
        "not reproduced",
        "faster, but by less",
    )
    unbounded = against(FIVE, [500.0] * 5, baseline_missed=(0, 1, 2, 3, 4))
    found = mean_speedup([known, unbounded])
    assert found is not None
    assert found.training.interval == (2.0, float("inf")), (
        "how long the baseline would have needed is unknown"
    )


def test_one_recipe_without_a_figure_leaves_no_mean() -> None:
    rows = table(check(against(FIVE, FIVE)), ClaimCheck("bert", 1.5, None, {}, {}, ""))
    assert rows["mean"][2:6] == ("1.46x", "none", "", "none")
    assert rows["mean"][claims_tables.VERDICT] == "undecided: one of them has no ratio"


def test_tuned_schedules_stand_beside_their_own_claim_with_the_ratio_written_out() -> None:
    base = check(against(FIVE, [500.0] * 5))
    found = ClaimCheck(
        base.recipe,
        base.claim,
        base.found,
        {"tuned clr": against(FIVE, [900.0] * 5)},
        {"tuned clr": against(FIVE, [500.0] * 5), "tuned sgdr": against(FIVE, [1000.0] * 5)},
        base.target,
        ("seeds: 0, 1, 2, 3, 4",),
    )
    _, over, rivals = sections([found])
    assert [row[0] for row in over.rows] == [
        "transformer: tuned clr / AutoLRS",
        "transformer: tuned sgdr / AutoLRS",
    ], "the claim is a mean over three recipes"
    others = [ClaimCheck(name, None, None, {}, {}, "") for name in ("bert", "resnet50")]
    assert len(sections([found, *others])[1].rows) == 2, "the others have no tuned schedules"
    others = [replace(found, recipe=name) for name in ("bert", "resnet50")]
    mean = sections([found, *others])[1].rows[-1]
    assert mean[0] == "mean"
    assert mean[2:4] == ("1.31x", "1.50x [1.50, 1.50]")
    assert rivals.title == "transformer: original / arm, target loss <= 1"
    text = claims_tables.as_markdown([found], "autolrs reproduce transformer")
    assert "Made by `autolrs reproduce transformer`" in text
    assert "| tuned clr | 1.11x [1.11, 1.11] |" in text
    assert "- seeds: 0, 1, 2, 3, 4" in text
    parsed = list(csv.DictReader(claims_tables.as_csv([found]).splitlines()))
    expected = [
        ("original", "autolrs", "2.0", "1.43"),
        ("original", "tuned clr", str(1000 / 900), ""),
        ("tuned clr", "autolrs", "2.0", ""),
        ("tuned sgdr", "autolrs", "1.0", ""),
    ]
    assert [(r["baseline"], r["arm"], r["training_steps"], r["claim"]) for r in parsed] == expected
    duelling = replace(found, duels={"autolrs": {"random": against(FIVE, [800.0] * 5)}})
    parsed = list(csv.DictReader(claims_tables.as_csv([duelling]).splitlines()))
    assert [(r["baseline"], r["arm"], r["training_steps"], r["claim"]) for r in parsed] == [
        *expected,
        ("random", "autolrs", "1.25", ""),
    ]


def test_rows_say_whose_weights_decide_and_ours_is_held_against_each_rival_on_its_own() -> None:
    found = ClaimCheck(
        "transformer",
        None,
        None,
        {"lean search": speedup("lean search", "original", {0: outcome(500)}, {0: outcome(1000)})},
        {},
        "loss <= 1",
        read_out={"original": "raw", "lean search": "averaged", "tuned constant": "averaged"},
        duels={"lean search": {"tuned constant": against(FIVE, [800.0] * 5)}},
    )
    _, rivals, duels = sections([found])
    assert rivals.rows[0][:2] == ("lean search", "raw / averaged")
    assert duels.title == "transformer: each / lean search, on their common seeds"
    assert duels.rows[0][0] == "tuned constant"
    assert duels.rows[0][3] == "1.25x [1.25, 1.25]"
    with Console(width=80, record=True, file=io.StringIO()) as console:
        console.print(claims_tables.render([found]))
    shown = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "what read out steps all steps run misses" in shown, "no column is cut off"
    assert any(line.startswith("tuned constant") and line.endswith("0, 0") for line in shown)


def test_a_mean_of_upper_bounds_reproduces_nothing() -> None:
    bounds = against(FIVE, [500.0] * 5, at_shortest=(0, 1, 2, 3, 4))
    assert judge_mean({"one": bounds}, 1.31) == ("undecided", "its ratios are upper bounds")


def test_recipes_with_other_numbers_of_seeds_have_no_mean() -> None:
    few = ClaimCheck("bert", 1.5, against([1000.0] * 3, [500.0] * 3), {}, {}, "")
    assert "mean" not in table(check(against(FIVE, FIVE)), few)


def test_three_seeds_judge_no_mean_not_even_where_they_miss() -> None:
    missing = against([1000.0] * 3, [500.0] * 3, missed=(0, 1))
    assert judge_mean({"one": missing}, 1.31) == ("undecided", "too few seeds make no interval; five do")
