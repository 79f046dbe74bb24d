"""When a curve counts as having reached a target, and which weights' curve it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run

from autolrs_cli.contracts import Target
from autolrs_cli.reports.compare.run_record import read_run
from autolrs_cli.reports.compare.time_to_target import MetricCurve, metric_curve
from autolrs_cli.training.target import Sighting, TargetWatch

VALUES = st.lists(st.sampled_from([float("nan"), 0.1, 0.4, 0.5, 0.6, 0.9]), min_size=1, max_size=8)


def curve(values: list[float], sign: int = 1, *, ended: bool = True) -> MetricCurve:
    steps = np.arange(1, len(values) + 1)
    return MetricCurve(steps, steps, steps.astype(float), np.array(values), "raw", sign, ended)


@given(VALUES, st.booleans(), st.sampled_from(["min", "max"]))
def test_a_journal_read_afterwards_agrees_with_the_watch_that_judged_the_run_as_it_went(
    values: list[float], ended: bool, direction: str
) -> None:
    watch = TargetWatch(Target("accuracy", 0.5, direction))  # type: ignore[arg-type]
    for i, value in enumerate(values):
        watch.see({"accuracy": value}, Sighting(i, i, 0.0), last=ended and i == len(values) - 1)
    expected = watch.reached.step if watch.reached else None
    assert curve(values, 1 if direction == "max" else -1, ended=ended).reached_at(0.5) == expected


def test_a_run_that_overshoots_once_and_falls_back_has_not_reached_the_target() -> None:
    assert curve([0.2, 0.95, 0.3, 0.92, 0.91, 0.2]).reached_at(0.9) == 3
    assert curve([0.2, 0.95, 0.3, 0.4]).reached_at(0.9) is None


def test_the_last_evaluation_counts_alone_only_at_the_planned_end() -> None:
    assert curve([0.2, 0.95]).reached_at(0.9) == 1
    assert curve([0.2, 0.95], ended=False).reached_at(0.9) is None


def test_of_a_loss_less_is_better() -> None:
    assert curve([2.0, 1.0, 0.9, 0.8], sign=-1).reached_at(1.0) == 1


def test_under_weight_averaging_the_averaged_weights_decide(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, "constant", 0, [0.1, 0.2, 0.3], averaged=[0.5, 0.95, 0.96]))
    assert metric_curve(run, "accuracy", "max").values.tolist() == [0.5, 0.95, 0.96]


def test_without_it_the_raw_weights_decide_whatever_else_was_measured(tmp_path: Path) -> None:
    changes = {"average": {"name": "none"}}
    folder = make_run(tmp_path, "constant", 0, [0.1, 0.2], averaged=[0.5, 0.95], changes=changes)
    assert metric_curve(read_run(folder), "accuracy", "max").values.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("average", ["none", "ema"])
def test_bleu_which_only_checkpoint_averages_are_measured_with_is_found_in_any_arm(
    tmp_path: Path, average: str
) -> None:
    folder = make_run(tmp_path, "constant", 0, [0.1, 0.2], changes={"average.name": average})
    journal = folder / "journal.jsonl"
    place = b'{"event":"eval","t":9,"step":20,"total_steps":20,"split":"target",'
    journal.write_bytes(journal.read_bytes() + place + b'"weights":"averaged","metrics":{"bleu":30}}\n')
    run = read_run(folder)
    assert metric_curve(run, "bleu", "max").values.tolist() == [30]
    assert metric_curve(run, "accuracy", "max").weights == "raw"
