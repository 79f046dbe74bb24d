"""Keeping the weights of the best evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from harness import USER, events, toy
from killing import killed
from resuming import resume
from safetensors.torch import load_file
from torch import nn

from autolrs_cli.contracts import Metric
from autolrs_cli.training.best_weights import Best, BestWeights
from autolrs_cli.training.weights import LastCheckpoints

# Evaluated often, at a high LR: the last evaluation is not the best.
SHORT = (
    "schedule=constant",
    "schedule.peak_lr=0.5",
    "recipe.num_phases=1",
    "run.eval_every_steps=5",
    "run.full_eval_every_steps=null",
    "run.checkpoint_every_seconds=1e-9",
    f"run.config_dir={USER}",
)
BEST = "run.keep_best=true"


def best_of(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())["best"]


@pytest.mark.parametrize(
    ("average", "file", "kind"), [("none", "model", "raw"), ("ema", "model_averaged", "averaged")]
)
def test_they_are_those_of_a_run_that_ends_there(tmp_path: Path, average: str, file: str, kind: str) -> None:
    toy(tmp_path / "run", f"average={average}", "run.max_steps=60", BEST, *SHORT)
    best = best_of(tmp_path / "run")
    seen = {
        r["step"]: r["metrics"]["accuracy"]
        for r in events(tmp_path / "run", "eval")
        if (r["split"], r["weights"]) == ("target", kind)
    }
    assert best == {
        "metric": "accuracy",
        "value": max(seen.values()),
        "step": max(seen, key=seen.__getitem__),
    }
    assert best["step"] < 60, "or this would show nothing"
    toy(tmp_path / "short", f"average={average}", f"run.max_steps={best['step']}", *SHORT)
    kept, wanted = (
        load_file(path)
        for path in (tmp_path / "run" / "model_best.safetensors", tmp_path / "short" / f"{file}.safetensors")
    )
    assert kept.keys() == wanted.keys()
    assert all(kept[name].equal(wanted[name]) for name in kept)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_nothing_is_kept_unless_asked_for(tmp_path: Path) -> None:
    toy(tmp_path / "run", "run.max_steps=20", *SHORT)
    assert best_of(tmp_path / "run") is None
    assert not (tmp_path / "run" / "model_best.safetensors").exists()


@pytest.mark.parametrize("moment", ["training", "last evaluation", "final export"])
@pytest.mark.parametrize("seconds", ["1e-9", "300"])
def test_they_survive_a_run_that_is_killed(tmp_path: Path, moment: str, seconds: str) -> None:
    """With a checkpoint after every step, and with none but the beginning."""
    more = ("run.max_steps=100", BEST, *SHORT, f"run.checkpoint_every_seconds={seconds}")
    toy(tmp_path / "whole", *more)
    assert killed(moment, lambda: toy(tmp_path / "run", *more))
    assert resume(tmp_path / "run") == 0
    assert best_of(tmp_path / "run") == best_of(tmp_path / "whole")
    one, other = ((tmp_path / name / "model_best.safetensors").read_bytes() for name in ("run", "whole"))
    assert one == other


@pytest.mark.parametrize("direction", ["min", "max"])
def test_only_a_better_finite_value_counts(tmp_path: Path, direction: str) -> None:
    sign = -1.0 if direction == "min" else 1.0
    kept = BestWeights(LastCheckpoints(tmp_path, 1, 1), Metric("it", direction))
    first = kept.better(None, {"it": sign * 1.0, "loss": 0.0}, 5)
    assert first == Best("it", sign * 1.0, 5)
    assert kept.better(first, {"it": sign * 1.0}, 10) is None
    assert kept.better(first, {"it": sign * 0.5}, 10) is None
    assert kept.better(first, {"it": math.nan}, 10) is None
    assert kept.better(first, {"loss": 0.0}, 10) is None, "of a full evaluation, which this was not"
    assert kept.better(first, {"it": sign * 2.0}, 10) == Best("it", sign * 2.0, 10)


def test_what_a_resume_point_still_needs_stays(tmp_path: Path) -> None:
    kept, model = BestWeights(LastCheckpoints(tmp_path / "best", 1, 1), Metric("it", "max")), nn.Linear(1, 1)
    for step, resumable in ((5, 0), (10, 0), (15, 12), (20, 12)):
        kept.keep(model, step, resumable)
    assert kept.files.steps() == [10, 20], "10 was the best at 12, and 15 is nobody's"
