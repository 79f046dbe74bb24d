"""Failed trials: one, all, and a loss that blows up in training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness import events, toy

from autolrs_cli.exit_codes import EndCause

EXPLODING = ("optimizer.nesterov=false", "optimizer.momentum=0", "search.lr_max=1e12", "search.lr_min=1e-3")


def test_a_failed_trial_caps_the_stage_below_its_lr(tmp_path: Path) -> None:
    result = toy(tmp_path, *EXPLODING, "search.num_trials=6")
    trials = events(tmp_path, "trial_finished")
    failed = [t for t in trials if t["status"] == "diverged"]
    assert failed, "this interval must make trials diverge"
    assert result.status == "done"
    for bad in failed:
        later = [t for t in trials if t["stage"] == bad["stage"] and t["trial"] > bad["trial"]]
        assert all(t["lr"] <= bad["lr"] / 2 * (1 + 1e-9) for t in later)
        assert bad["predicted"] is None
        assert bad["failure"] in ("non_finite_loss", "loss_above_untrained")


def test_a_non_finite_loss_ends_its_trial_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _blow_up_above(monkeypatch, 0.05, at_trial_step=7)
    toy(tmp_path)
    failed = [t for t in events(tmp_path, "trial_finished") if t["status"] == "diverged"]
    assert failed
    assert all(t["steps"] == 7 and t["failure"] == "non_finite_loss" for t in failed)
    points = [r for r in events(tmp_path, "trial_step") if r["loss"] is None]
    assert len(points) == len(failed), "NaN is written as null"


def test_when_all_trials_fail_the_stage_trains_at_lr_min(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _blow_up_above(monkeypatch, 0.0011, at_trial_step=3, spare_warm_up=True)
    result = toy(tmp_path, "schedule.warmup_lr=1e-3")
    chosen = events(tmp_path, "lr_chosen")
    assert result.status == "done"
    assert [c["flags"] for c in chosen] == [["all_failed"]] * len(chosen)
    assert [c["lr"] for c in chosen] == [1e-3] * len(chosen)
    assert [c["chosen_trial"] for c in chosen] == [None] * len(chosen)


def test_a_loss_that_blows_up_in_training_fails_the_run_with_a_clear_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _blow_up_above(monkeypatch, 0.01, at_trial_step=5)
    result = toy(tmp_path, "schedule=constant")
    assert (result.status, result.exit_code) == ("failed", 1)
    assert result.cause is EndCause.DIVERGED
    assert events(tmp_path)[-1]["cause"] == result.summary["cause"] == "diverged"
    assert "must stay finite" in str(result.reason)
    assert events(tmp_path)[-1]["event"] == "run_finished"
    assert result.summary["reason"] == result.reason
    steps = events(tmp_path, "step")
    assert result.summary["step"] == result.summary["total_steps"] == len(steps)
    assert steps[-1]["loss"] is None, "the failing step is on record"


def test_a_crash_leaves_a_whole_account_and_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_in_training(monkeypatch, RuntimeError("a mistake"))
    with pytest.raises(RuntimeError, match="a mistake"):
        toy(tmp_path, "schedule=constant")
    assert events(tmp_path)[-1]["event"] == "run_finished"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["reason"]) == ("failed", "RuntimeError: a mistake")
    assert events(tmp_path)[-1]["cause"] == summary["cause"] == "code_error"


def test_too_little_device_memory_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_in_training(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    result = toy(tmp_path, "schedule=constant")
    assert result.exit_code == 1
    assert result.cause is EndCause.OUT_OF_MEMORY
    assert "Lower recipe.micro_batch" in str(result.reason)


def _fail_in_training(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("autolrs_cli.training.engine.Engine.step", fail)


def _blow_up_above(
    monkeypatch: pytest.MonkeyPatch, lr_limit: float, *, at_trial_step: int, spare_warm_up: bool = False
) -> None:
    """Make the loss NaN on the n-th consecutive step above an LR."""
    from autolrs_cli.training.engine import Engine

    step = Engine.step
    run = {"lr": 0.0, "length": 0}

    def wrapped(self: Engine, batches: object, lr: float, micro_batches: int) -> tuple[float, int]:
        loss, examples = step(self, batches, lr, micro_batches)
        run["length"] = run["length"] + 1 if lr == run["lr"] else 1
        run["lr"] = lr
        return float("nan") if lr > lr_limit and run["length"] >= at_trial_step else loss, examples

    monkeypatch.setattr(Engine, "step", wrapped)
