"""Cyclic schedules that fill the run: found from their numbers, made shorter, and raced over their lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import composed
from made_runs import make_run

from autolrs_cli.contracts import FilledCycles
from autolrs_cli.experiments.tune.search_space import read_settings, schedule_settings
from autolrs_cli.reports.compare.comparison import compare
from autolrs_cli.schedules import Cyclical, WarmRestarts
from autolrs_cli.schedules.lengths import recorded_run_length

CLR, SGDR = "autolrs_cli.schedules.Cyclical", "autolrs_cli.schedules.WarmRestarts"


def config(steps: int, **schedule: Any) -> dict[str, Any]:
    return {"schedule": {"name": "it", **schedule}, "run": {"max_steps": steps}}


def filled_cycles(config: dict[str, Any]) -> FilledCycles | None:
    return recorded_run_length({"config": config}).cycles


@pytest.mark.parametrize("cycles", [1, 2, 5, 8])
@pytest.mark.parametrize("steps", [847, 2117])
def test_what_tuning_makes_is_recognised_at_any_length(cycles: int, steps: int) -> None:
    for name, other in (("clr", {"min_lr/peak_lr": 0.1}), ("sgdr", {"period_factor": 2})):
        node = composed("recipe=resnet50", "scale=bench", f"schedule={name}", f"tune={name}")
        space = read_settings(node["tune"]).space
        point = {"peak_lr": 0.5, "cycles": min(cycles, 4), **other}
        made = schedule_settings(space, point, node["schedule"], 2117, 2117)
        found = filled_cycles(config(2117, **{**node["schedule"], **made}))
        assert found is not None
        assert found.cycles == point["cycles"]
        # As a tuned file keeps it: the warm-up stays as it is.
        again = config(steps, **{**node["schedule"], **made, found.key: found.period(steps)})
        shorter = filled_cycles(again)
        assert shorter is not None
        assert shorter.cycles == found.cycles


def test_every_length_ends_decayed() -> None:
    clr = filled_cycles(config(1000, _target_=CLR, half_period_steps=250))
    sgdr = filled_cycles(
        config(1000, _target_=SGDR, first_period_steps=130, period_factor=2, warmup_steps=90)
    )
    assert clr is not None
    assert sgdr is not None
    assert (clr.cycles, sgdr.cycles) == (2, 3)
    for steps in (400, 600, 1000, 2000):
        triangle = Cyclical(1.0, 0.1, clr.period(steps), "triangular", 1.0)
        assert triangle.lr(steps - 1) == pytest.approx(0.1, abs=0.02)
        cosine = WarmRestarts(1.0, 0.0, sgdr.period(steps), 2, 90)
        assert cosine.lr(steps - 1) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    "schedule",
    [
        {"_target_": "autolrs_cli.schedules.Constant", "peak_lr": 0.1},
        {"_target_": CLR, "half_period_steps": 260},
        {"_target_": SGDR, "first_period_steps": 300, "period_factor": 2, "warmup_steps": 0},
        {"_target_": SGDR},
        {"_target_": SGDR, "first_period_steps": "many", "period_factor": 1, "warmup_steps": 0},
    ],
)
def test_others_fill_nothing(schedule: dict[str, Any]) -> None:
    assert filled_cycles(config(1000, **schedule)) is None


def clr_run(root: Path, accuracy: list[float], *, cycles: int = 1) -> None:
    period = len(accuracy) * 10 // (2 * cycles)
    changes = {"schedule._target_": CLR, "schedule.half_period_steps": period, "schedule.name": "clr_tuned"}
    make_run(root, "sgdr", 0, accuracy, changes=changes)


def test_it_races_with_the_soonest_of_its_lengths(tmp_path: Path) -> None:
    """Fitted to 40 steps it is there after 30; the run of 80 steps, read half-way, would say 70."""
    make_run(tmp_path, "original", 0, [0.1] * 5 + [0.9])
    clr_run(tmp_path, [0.1, 0.2, 0.9, 0.9])
    clr_run(tmp_path, [0.1] * 6 + [0.9, 0.9])
    comparison = compare([tmp_path])
    (found,) = comparison.speedups
    assert found.arm == "clr_tuned"
    (pair,) = found.pairs
    assert (pair.arm.step, pair.arm.length) == (30, 40)
    assert not any("its only length; fitted" in line for line in comparison.warnings)


def test_another_number_of_cycles_is_another_arm_and_one_length_is_a_bound(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, [0.1] * 5 + [0.9])
    clr_run(tmp_path, [0.1, 0.2, 0.9, 0.9])
    clr_run(tmp_path, [0.1] * 6 + [0.9, 0.9], cycles=2)
    comparison = compare([tmp_path])
    assert sorted(arm.name for arm in comparison.arms) == [
        "clr_tuned schedule.cycles=1",
        "clr_tuned schedule.cycles=2",
        "original",
    ]
    assert sum("its only length; fitted to a shorter run" in line for line in comparison.warnings) == 2
