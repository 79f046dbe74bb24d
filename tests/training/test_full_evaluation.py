"""Recipes judged by more than a pass over held-out batches: when, with which weights, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness import assert_equal_weights, composed, events, run, weights
from safetensors.torch import load_file

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.plan import check

DECODING = ("recipe=decoding", "schedule=original")


def averaged(directory: Path) -> list[dict]:
    return [record for record in events(directory, "eval") if record["weights"] == "averaged"]


def test_it_comes_at_the_end_with_the_mean_of_the_last_weights(tmp_path: Path) -> None:
    result = run(tmp_path, *DECODING)
    (record,) = averaged(tmp_path)
    assert record["step"] == 130
    assert record["notes"] == {"f_score": "of the outer ring"}
    assert set(result.summary["metrics"]) == {
        "loss",
        "accuracy",
        "f_score",
        "weight_norm",
        "choose_loss",
    }
    assert result.summary["notes"] == {"f_score": "of the outer ring"}
    files = sorted((tmp_path / "checkpoints" / "averaging").iterdir())
    assert [file.name for file in files] == [f"weights-{step:09}.safetensors" for step in (110, 120, 130)]
    trainable = [name for name in weights(tmp_path) if "running" not in name and "num_batches" not in name]
    stored = [load_file(file) for file in files]
    mean = torch.cat([sum(each[name] for each in stored).flatten() / 3 for name in trainable])
    assert record["metrics"]["weight_norm"] == pytest.approx(float(mean.norm()), rel=1e-12)


def test_it_changes_nothing_in_training(tmp_path: Path) -> None:
    run(tmp_path / "seldom", *DECODING)
    run(tmp_path / "often", *DECODING, "run.full_eval_every_steps=20")
    assert [record["step"] for record in averaged(tmp_path / "often")] == [20, 40, 60, 80, 100, 120, 130]
    assert_equal_weights(tmp_path / "seldom", tmp_path / "often")


def test_under_search_only_kept_steps_are_averaged(tmp_path: Path) -> None:
    run(tmp_path, "recipe=decoding", "run.full_eval_every_steps=20")
    assert {record["trial"] for record in averaged(tmp_path) if "trial" in record} <= {None}
    last = load_file(tmp_path / "checkpoints" / "averaging" / "weights-000000130.safetensors")
    assert all(last[name].equal(value) for name, value in weights(tmp_path).items())


def test_a_target_in_its_metric_waits_for_it(tmp_path: Path) -> None:
    target = "+target={metric: f_score, value: 0.0}"
    run(tmp_path / "a", *DECODING, target)
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["target"]["step"] == 130
    run(tmp_path / "b", *DECODING, target, "run.full_eval_every_steps=40")
    # Two full evaluations in a row, with others in between.
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["target"]["step"] == 40


def test_a_cadence_that_does_not_coincide_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"run\.full_eval_every_steps.*multiple of run\.eval_every_steps=20"
    ):
        check(composed(*DECODING, "run.full_eval_every_steps=30"))
