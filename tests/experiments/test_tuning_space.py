"""Each schedule's search space (configs/tune): a short run is decayed as a long one is, only faster."""

from __future__ import annotations

import copy
import functools
import itertools
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from harness import composed

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.tune.search_space import (
    bounds,
    parameter_name,
    read_settings,
    schedule_settings,
    spread,
    start_point,
)
from autolrs_cli.runner.instantiate import build

TREE = Path(str(files("autolrs_configs")))
SCHEDULES = sorted({path.stem for path in (TREE / "tune").glob("*.yaml")} - {"hyperband"})
FULL, SHORT = 2117, 78
# Of the peak, what is left at the run's last step; these never decay to the end, and GreedyLR only by what it is told.
UNDECAYED = {
    "constant": 1.0,
    "greedy": 1.0,
    "inverse_square_root": 0.3,
    "inverse_square_root_anytime": 1.0,
    "wsd": 0.3,
}


@functools.cache
def _config(schedule: str) -> dict[str, Any]:
    run = ("run.max_steps=2117", "original_schedule.peak_lr=0.2", "original_schedule.warmup_steps=117")
    return composed("recipe=resnet50", "scale=bench", *run, f"schedule={schedule}", f"tune={schedule}")


def config(schedule: str) -> dict[str, Any]:
    return copy.deepcopy(_config(schedule))


def test_every_schedule_that_has_a_peak_can_be_tuned() -> None:
    with_peak = {
        path.stem for path in (TREE / "schedule").glob("*.yaml") if "\npeak_lr:" in path.read_text("utf-8")
    }
    # Plateau decays when the loss says so, so that a short run is not decayed as a long one is.
    assert with_peak - {"plateau"} <= set(SCHEDULES)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_short_run_is_a_long_one_made_faster(schedule: str) -> None:
    """At each share of the run the LR is the same (but for rounding), and at its end the schedule is decayed."""
    node = config(schedule)
    space = read_settings(node["tune"]).space
    points = [start_point(space), *spread(space, 9, seed=1)]
    for point in points:
        curves = []
        for steps in (FULL, FULL // 3, SHORT):
            found = {**node["schedule"], **schedule_settings(space, point, node["schedule"], steps, FULL)}
            found.pop("name")
            made = build(found, "schedule")
            assert made.problems("schedule") == []
            curves.append([made.lr(step) for step in range(steps)])
        for curve in curves:
            floor = found.get("min_lr", 0.0)
            left = (curve[-1] - floor) / point["peak_lr"]
            # CLR ends at its floor but for rounding half periods to whole steps.
            rounding = (2 * point["cycles"]) ** 2 / len(curve) / 2 + 0.1 if schedule == "clr" else 0.25
            assert left <= UNDECAYED.get(schedule, rounding), (schedule, point, len(curve))
            assert max(curve) <= point["peak_lr"] * (1 + 1e-9)
        if schedule not in ("sgdr", "clr"):  # whose periods are whole steps: a few of 78 are coarse
            quarters = [[curve[len(curve) * i // 4] for i in (1, 2, 3)] for curve in curves]
            for one, other in itertools.pairwise(quarters):
                assert one == pytest.approx(other, rel=0.15, abs=0.03 * point["peak_lr"])


def test_the_full_run_has_the_schedules_own_warm_up_and_a_short_one_its_share() -> None:
    node = config("sgdr")
    space = read_settings(node["tune"]).space
    full, short = (
        schedule_settings(space, start_point(space), node["schedule"], steps, FULL) for steps in (FULL, SHORT)
    )
    assert (full["warmup_steps"], short["warmup_steps"]) == (117, 4)
    # Two cycles, the second twice as long: 3 first periods fill what the warm-up leaves.
    assert (full["first_period_steps"], short["first_period_steps"]) == (667, 25)


def test_a_short_run_tries_an_lr_that_is_higher_by_the_horizon_rule_and_what_is_a_share_of_it_follows() -> (
    None
):
    node = config("clr")
    space = read_settings(node["tune"]).space
    full, short = (
        schedule_settings(space, start_point(space), node["schedule"], steps, 900, horizon_exponent=0.5)
        for steps in (900, 100)
    )
    assert full["peak_lr"] == pytest.approx(0.2)
    assert short["peak_lr"] == pytest.approx(0.2 * 3), "a ninth of the length, to the power of a half"
    assert short["min_lr"] == pytest.approx(0.1 * short["peak_lr"])


def test_the_first_points_lie_in_the_space_and_cover_it() -> None:
    space = read_settings(config("sgdr")["tune"]).space
    points = spread(space, 8, seed=5)
    assert points == spread(space, 8, seed=5) != spread(space, 8, seed=6)
    for key, given in space.items():
        low, high, _ = bounds(given)
        values = [point[parameter_name(key, given)] for point in points]
        assert all(low <= value <= high for value in values)
    octave = (10 / 0.1) ** (1 / 8)
    peaks = sorted(point["peak_lr"] / (0.1 * 0.2) for point in points)
    assert all(octave**i <= peak <= octave ** (i + 1) for i, peak in enumerate(peaks))
    assert {point["cycles"] for point in points} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"low": 20.0}, "`low < high` must hold, but got tune.space.peak_lr.low=20.0"),
        ({"start": 20.0}, "`low <= start <= high` must hold, but got tune.space.peak_lr.start=20.0"),
        ({"low": "x"}, "`tune.space.peak_lr.low` must be a valid number"),
        ({"kind": "share", "of": "warmup"}, "must name a setting of the space, but got warmup"),
    ],
)
def test_a_wrong_range_is_named(changes: dict[str, Any], said: str) -> None:
    node = config("cosine")["tune"]
    node["space"]["peak_lr"].update(changes)
    with pytest.raises(ConfigError, match=said):
        read_settings(node)
