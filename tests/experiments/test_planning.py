"""What a plan says a run will cost, against arithmetic by hand and against a run's own account."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from harness import events, planned, toy

from autolrs_cli.contracts import Segment
from autolrs_cli.experiments.cost.estimate import Measured, Shape, cost
from autolrs_cli.experiments.cost.measure import measure, shape_of
from autolrs_cli.search.policy import SearchEffort

MEASURED = Measured(
    timed_steps=10,
    startup_seconds=5.0,
    step_seconds=0.1,
    evaluation_seconds=2.0,
    full_evaluation_seconds=30.0,
    choose_seconds=0.5,
    snapshot_seconds=0.01,
    question_seconds=0.2,
    checkpoint_seconds=1.0,
    parameter_bytes=100,
    optimizer_bytes=100,
    snapshot_bytes=200,
    checkpoint_bytes=250,
    weights_bytes=110,
    step_record_bytes=100.0,
    peak_host_bytes=10**9,
    peak_device_bytes=None,
)
SEGMENTS = (
    Segment("warm_up", 0, 0, 20),
    Segment("stage", 0, 20, 200, 0, 20, "train", 5),
    Segment("stage", 0, 220, 400, 1, 40, "choose", 5),
)
SHAPE = Shape(
    max_steps=620,
    segments=SEGMENTS,
    search=SearchEffort(300, 100, 100, 22),
    eval_every_steps=100,
    full_eval_every_steps=None,
    log_every_steps=10,
    checkpoint_every_seconds=100.0,
    lr_changes=22,
    averaging_files=3,
)


def test_the_arithmetic() -> None:
    found = cost(SHAPE, MEASURED)
    assert SHAPE.search.steps == 5 * (20 + 40)
    assert found.total_steps == 620 + 300
    assert found.seconds == pytest.approx(
        {
            "startup": 5.0,
            "warm_up": 2.0,
            "training": 60.0,
            "search_discarded": 30.0 + 50.0,
            "search_model": 10 * 0.2,
            "evaluation": 7 * 2.0 + 30.0,
            "snapshot": (10 + 2 * 2) * 0.01,
            # One at each stage's start, and one in each full 100 of the 193.14 s.
            "checkpoint": 2 + 1,
        }
    )
    points = 62 + (5 * 20 + 5 * 20) + 7
    assert found.journal_bytes == points * 100 + 10 * 5_300
    assert found.disk_final_bytes == 3 * 110 + 110 + found.journal_bytes + 22 * 45 + 12_000
    assert found.disk_peak_bytes == found.disk_final_bytes + 3 * 250


def test_a_run_makes_the_steps_that_were_planned_and_takes_the_disk(tmp_path: Path) -> None:
    result = toy(tmp_path / "run", "search.max_stage_steps=40")
    plan = planned("recipe=toy", "search.max_stage_steps=40")
    shape = shape_of(plan)
    measured = measure(plan, steps=5, started=0.0)
    expected = cost(shape, measured)

    ledger = result.summary["ledger"]
    assert ledger["search_discarded"]["steps"] == shape.search.steps
    assert ledger["warm_up"]["steps"] == shape.warm_up_steps
    assert result.summary["total_steps"] == expected.total_steps
    objectives = {s["stage"]: s["objective"] for s in events(tmp_path / "run", "stage_started")}
    judged = [r for r in events(tmp_path / "run", "trial_step") if objectives[r["stage"]] == "choose"]
    assert judged
    assert len(judged) == shape.search.held_out_losses
    held_out = [r for r in events(tmp_path / "run", "eval") if r["split"] == "target"]
    assert len(held_out) == shape.evaluations

    files = {path.name: path.stat().st_size for path in (tmp_path / "run").iterdir()}
    assert files["model.safetensors"] == measured.weights_bytes
    rows = (tmp_path / "run" / "schedule.csv").read_text().splitlines()
    assert len(rows) - 1 == shape.lr_changes
    # The journal is an estimate.
    assert expected.disk_final_bytes / sum(files.values()) == pytest.approx(1, abs=0.3)


def test_a_lean_search_measures_held_out_losses_and_changes_its_lr_as_planned(tmp_path: Path) -> None:
    settings = ("recipe=toy", "search=lean", "search.choice=random", "run.max_steps=400")
    result = toy(tmp_path / "run", *settings[1:])
    shape = shape_of(planned(*settings))
    losses = Counter((r["stage"], r["trial"]) for r in events(tmp_path / "run", "trial_step"))
    del losses[0, 0]  # the ramp, which is read from training losses
    assert shape.search.held_out_losses == max(losses.values()) * (shape.trials - 1)
    assert 0 < result.summary["ledger"]["search_discarded"]["steps"] <= shape.search.steps
    rows = (tmp_path / "run" / "schedule.csv").read_text().splitlines()
    kept_at_one_lr = result.summary["ledger"]["search_kept"]["steps"]
    assert len(rows) - 1 == pytest.approx(shape.lr_changes - kept_at_one_lr, abs=1)


def test_measuring_leaves_nothing_and_counts_every_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    measured = measure(
        planned("recipe=toy", "recipe.num_phases=2", "schedule=original"), steps=4, started=0.0
    )
    assert list(tmp_path.iterdir()) == []
    assert measured.step_seconds > 0
    assert measured.parameter_bytes == 8 * (2 * 16 + 16 + 2 * 16 + 16 * 2 + 2)
    assert measured.snapshot_bytes == 0
    assert measured.question_seconds == 0
    json.dumps(measured.__dict__, allow_nan=False)
