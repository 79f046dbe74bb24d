"""The third ratio: what tuning took is counted, or said to be unknown. All answers are computed by hand."""

from __future__ import annotations

import csv
import io
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from made_runs import make_run, tuned
from rich.console import Console

from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.compare.speedups import Estimate
from autolrs_cli.reports.render import format as words
from autolrs_cli.reports.render.tables import as_csv, as_json, as_markdown
from autolrs_cli.reports.render.terminal import render

# Reaches 0.9 at its second, third and last evaluation (steps 20, 30, 40); never.
SECOND, THIRD, LAST, NEVER = (
    [0.5, 0.9, 0.9, 0.9],
    [0.5, 0.6, 0.9, 0.9],
    [0.5, 0.6, 0.7, 0.9],
    [0.5, 0.6, 0.7, 0.8],
)


def of_two_tuned_arms(root: Path, seeds: int = 2) -> Comparison:
    """A tuned constant LR that needs 30 steps, and 60 to be found; a tuned SGDR that needs 20, and 90 to be found."""
    for seed in range(seeds):
        make_run(root, "constant", seed, THIRD, changes=tuned(60, schedule="constant"))
        make_run(root, "sgdr", seed, SECOND, changes=tuned(90))
    return compare([root], baseline="constant_tuned")


def all_in(comparison: Comparison) -> Estimate:
    (found,) = comparison.speedups
    assert found.all_in is not None
    return found.all_in


def shown(comparison: Comparison) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(comparison))
    return console.export_text()


def test_one_run_pays_for_all_of_its_tuning_and_seeds_share_it(tmp_path: Path) -> None:
    (found,) = of_two_tuned_arms(tmp_path).speedups
    assert found.training is not None
    assert found.all_in is not None
    assert found.all_in_shared is not None
    assert found.training.median == 30 / 20
    assert found.all_in.median == (30 + 60) / (20 + 90)
    assert found.all_in_shared.median == (30 + 60 / 2) / (20 + 90 / 2)
    assert found.all_in.bound == found.all_in_shared.bound == "exact"


def test_the_search_counts_beside_the_tuning(tmp_path: Path) -> None:
    searched = {**tuned(50, schedule="autolrs"), "schedule.peak_lr": 0.1}
    make_run(tmp_path, "autolrs", 0, SECOND, changes=searched)
    make_run(tmp_path, "constant", 0, THIRD, changes=tuned(60, schedule="constant"))
    comparison = compare([tmp_path], baseline="constant_tuned")
    assert all_in(comparison).median == (30 + 60) / (20 + 20 + 50)


def test_a_baseline_whose_tuning_is_unknown_makes_lower_bounds(tmp_path: Path) -> None:
    for seed in range(5):
        # decays: needs its whole length, 40, and was run at no shorter one
        make_run(tmp_path, "original", seed, SECOND)
        make_run(tmp_path, "sgdr", seed, SECOND, changes=tuned(60))
    comparison = compare([tmp_path])
    (found,) = comparison.speedups
    assert (all_in(comparison).median, all_in(comparison).bound) == (40 / (20 + 60), "unclear")
    assert all_in(comparison).interval == (0.5, math.inf)
    assert words.all_in(found, found.all_in) == "~ 0.50x [0.50x, infinite]"
    assert words.verdict(found) == "undecided in training steps; undecided in all steps; undecided all-in"
    assert re.search(r"all-in, 1 run\s+~ 0.50x\s+\[0.50x, infinite\]\s+~ 0 of 5", shown(comparison))
    assert words.all_in(found, found.all_in_shared, words.sharing(found)).startswith(
        "~ 1.25x"
    )  # 40 / (20 + 12)
    assert words.all_in(found, found.all_in_shared, words.sharing(found)).endswith(" among 5 seeds")


def test_an_arm_whose_tuning_is_unknown_makes_upper_bounds(tmp_path: Path) -> None:
    for seed in range(5):
        make_run(tmp_path, "constant", seed, THIRD, changes=tuned(60, schedule="constant"))
        make_run(tmp_path, "autolrs", seed, SECOND)
    comparison = compare([tmp_path])
    assert (all_in(comparison).median, all_in(comparison).bound) == ((30 + 60) / (20 + 20), "at most")
    assert all_in(comparison).interval == (0.0, 2.25)
    assert comparison.speedups[0].finding(all_in(comparison)) == "undecided"


@pytest.mark.parametrize(
    "changes", [{}, tuned(60, schedule="constant")], ids=["untuned", "tuned, but misses"]
)
def test_where_nothing_bounds_the_ratio_there_is_none_in_words(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    make_run(tmp_path, "constant", 0, NEVER if changes else THIRD, changes=changes)
    make_run(tmp_path, "autolrs", 0, SECOND)
    (found,) = compare([tmp_path]).speedups
    assert found.training is not None
    assert (found.all_in, found.all_in_shared) == (None, None)
    assert words.all_in(found, found.all_in) == words.point(found, found.all_in) == "unknown"


def test_an_arm_that_misses_counts_as_zero_whatever_its_tuning(tmp_path: Path) -> None:
    for seed, curve in enumerate((NEVER, SECOND)):
        make_run(tmp_path, "original", seed, SECOND)
        make_run(tmp_path, "sgdr", seed, curve, changes=tuned(60))
    (found,) = compare([tmp_path]).speedups
    assert [pair.ratio("all_in") for pair in found.pairs] == [0.0, 40 / 80]


def test_the_lean_search_as_it_is_shipped_takes_no_tuning_and_a_changed_one_an_unknown_amount(
    tmp_path: Path,
) -> None:
    shipped = yaml.safe_load((files("autolrs_configs") / "search" / "lean.yaml").read_text())["search"]
    for seed in range(5):
        make_run(tmp_path, "constant", seed, THIRD, changes=tuned(60, schedule="constant"))
        make_run(tmp_path, "autolrs", seed, SECOND, changes={"search": shipped})
    comparison = compare([tmp_path])
    assert (all_in(comparison).median, all_in(comparison).bound) == ((30 + 60) / (20 + 20), "exact")
    changed = {**shipped, "level_divisor": 4.0}
    make_run(tmp_path / "other", "autolrs", 5, SECOND, changes={"search": changed})
    make_run(tmp_path / "other", "constant", 5, THIRD, changes=tuned(60, schedule="constant"))
    costs = compare([tmp_path / "other"]).tuning
    assert {name: cost.steps for name, cost in costs.items()} == {
        "constant_tuned": 60,
        "autolrs search=lean": None,
    }


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("original", "its paper's"),
        ("constant", "set by hand, or published"),
        ("autolrs", "the interval of its search was set by hand"),
        ("replay", "whose search is not counted"),
    ],
)
def test_settings_that_were_not_tuned_are_of_unknown_tuning_and_never_of_none(
    tmp_path: Path, schedule: str, said: str
) -> None:
    make_run(tmp_path, "sgdr", 0, SECOND, changes=tuned(60))
    make_run(tmp_path, schedule, 0, SECOND)
    comparison = compare([tmp_path], baseline=schedule)
    cost = comparison.tuning[comparison.baseline.name]
    assert (cost.steps, cost.seconds) == (None, None)
    assert cost.words.startswith("unknown: ")
    assert said in cost.words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (tuned(60, data_fingerprint="0ther"), "data (by fingerprint) da7a instead of 0ther"),
        (tuned(60, optimizer="adam betas=[0.9, 0.98]"), "optimizer none instead of adam betas=[0.9, 0.98]"),
        (tuned(60, scale="tiny"), "scale made instead of tiny"),
        (tuned(60, batch={"global_batch": 64}), "batch global_batch=8 instead of global_batch=64"),
        ({**tuned(60), "schedule.peak_lr": 0.3}, "schedule.peak_lr 0.3 instead of 0.1"),
    ],
)
def test_what_was_tuned_for_another_run_is_of_unknown_tuning_here_and_warned_of(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    make_run(tmp_path, "sgdr", 0, SECOND, changes=changes)
    comparison = compare([tmp_path])
    assert comparison.tuning["sgdr_tuned"].steps is None
    assert any(said in line and "a guess here" in line for line in comparison.warnings)


def test_the_same_settings_found_in_another_study_are_another_arm(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    for steps in (60, 600):
        make_run(tmp_path, "sgdr", 0, SECOND, changes=tuned(steps))
    comparison = compare([tmp_path])
    assert {name: cost.steps for name, cost in comparison.tuning.items()} == {
        "original": None,
        "sgdr_tuned schedule.tuning.steps=60": 60,
        "sgdr_tuned schedule.tuning.steps=600": 600,
    }


def test_every_table_shows_it_and_names_its_denominator(tmp_path: Path) -> None:
    comparison = of_two_tuned_arms(tmp_path)
    (_, arm) = [row for row in orjson.loads(as_json(comparison)) if row["seed"] is None]
    assert (arm["tuning_steps"], arm["tuning_seconds"]) == (90, 45)
    assert (arm["all_in_speedup"], arm["all_in_bound"]) == (90 / 110, "exact")
    assert arm["all_in_shared_speedup"] == 60 / 65
    rows = list(csv.DictReader(as_csv(comparison).splitlines()))
    seeds = [row for row in rows if row["arm"] == "sgdr_tuned" and row["seed"]]
    assert [float(row["all_in_speedup"]) for row in seeds] == [90 / 110] * 2
    text = as_markdown(comparison, "head")
    assert (
        "all-in speedup (its tuning for one run) | all-in speedup (its tuning shared among the seeds)" in text
    )
    assert "| 0.82x | 0.92x among 2 seeds |" in text
    assert "a person who trains once" in text
    said = shown(comparison)
    assert "all-in, 1 run " in said
    assert "all-in, 2 seeds " in said
    assert "undecided: 2 pairs make no interval" in said
    assert "tuning of sgdr_tuned: 90 steps, 45 s (11 runs of 9 configurations" in "\n".join(
        provenance(comparison)
    )
