"""A searched stage that diverges in training: taken back, searched again below, and only so often."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from diverging import ALWAYS, kept_loss, nan_from
from harness import assert_equal_weights, events, toy

from autolrs_cli.exit_codes import EndCause

# The toy's first stage: kept steps 10 to 49, trials of 20.
STAGE_START, STAGE_END, TRIAL_STEPS = 10, 50, 20
UNTRAINED = 1.0  # about: the loss of two classes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    toy(directory)
    return directory


def first_lr(directory: Path) -> float:
    lr = events(directory, "lr_chosen")[0]["lr"]
    assert isinstance(lr, float)
    return lr


def test_the_stage_is_searched_again_below_the_lr_that_diverged(undisturbed: Path, tmp_path: Path) -> None:
    bad = first_lr(undisturbed)
    with nan_from(33, bad * 0.99):
        result = toy(tmp_path)
    assert (result.status, result.summary["step"]) == ("done", 130)
    (back,) = events(tmp_path, "rolled_back")
    assert back["lr"] == bad
    assert (back["step"], back["to_step"], back["from_step"]) == (STAGE_START, STAGE_START, 34)
    assert (back["attempt"], back["attempts"], back["stage"]) == (1, 2, 0)
    assert "loss nan" in back["reason"]
    again = [t for t in events(tmp_path, "trial_finished") if t["stage"] == 0][3:]
    assert len(again) == 3, "a whole search"
    assert all(t["lr"] <= bad / 2 * (1 + 1e-9) for t in again), "below half the LR that diverged"
    chosen = events(tmp_path, "lr_chosen")
    assert "searched_again" in chosen[1]["flags"]
    assert [c["lr"] for c in result.summary["chosen"]] == [chosen[1]["lr"], chosen[2]["lr"]]
    assert result.summary["rolled_back"] == [{"stage": 0, "lr": bad, "step": 34, "reason": back["reason"]}]


def test_what_was_taken_back_leaves_no_trace_but_its_cost(undisturbed: Path, tmp_path: Path) -> None:
    """The rest is that of a run which chose the second LR at once: proven by a run that makes the same trials."""
    bad = first_lr(undisturbed)
    late, early = tmp_path / "late", tmp_path / "early"
    with nan_from(44, bad * 0.99):
        toy(late)
    with nan_from(STAGE_START, bad * 0.99):
        toy(early)
    assert_equal_weights(late, early)
    assert (late / "schedule.csv").read_text() == (early / "schedule.csv").read_text()
    one, other = (json.loads((run / "summary.json").read_text()) for run in (late, early))
    assert one["examples"] == other["examples"]
    assert one["metrics"] == other["metrics"]
    lost = one["ledger"]["search_discarded"]["steps"] - other["ledger"]["search_discarded"]["steps"]
    assert lost == 44 - STAGE_START
    assert one["total_steps"] - other["total_steps"] == lost
    for summary in (one, other):
        assert summary["ledger"]["training"]["steps"] == 120
        spent = sum(bucket["steps"] for bucket in summary["ledger"].values())
        assert spent == summary["total_steps"]


def test_it_is_tried_a_bounded_number_of_times_and_then_accounted_for(tmp_path: Path) -> None:
    with nan_from(20, ALWAYS):
        result = toy(tmp_path)
    assert (result.status, result.exit_code, result.cause) == ("failed", 1, EndCause.DIVERGED)
    assert len(events(tmp_path, "rolled_back")) == 2
    reason = str(result.reason)
    lrs = [c["lr"] for c in events(tmp_path, "lr_chosen")]
    assert len(lrs) == 3
    assert all(f"at LR {lr:.4g} at step 21" in reason for lr in lrs)
    assert result.summary["step"] == events(tmp_path, "run_finished")[0]["step"] == 21, "where it ended"
    assert reason.startswith("Stage 1 must train without diverging")
    assert "search.lr_max" in reason


def test_no_rollbacks_may_be_asked_for(tmp_path: Path) -> None:
    with nan_from(20, ALWAYS):
        result = toy(tmp_path, "search.max_rollbacks=0")
    assert result.status == "failed"
    assert not events(tmp_path, "rolled_back")


def test_a_stage_that_diverges_at_lr_min_has_nothing_left_to_try(tmp_path: Path) -> None:
    with nan_from(20, ALWAYS):
        result = toy(tmp_path, "search.lr_min=0.01", "search.lr_max=0.0101", "search.max_rollbacks=50")
    assert result.status == "failed"
    lrs = [c["lr"] for c in events(tmp_path, "lr_chosen")]
    assert lrs[-1] == 0.01, "lr_min was tried last"


def test_losses_far_above_the_untrained_models_are_divergence_too(undisturbed: Path, tmp_path: Path) -> None:
    bad = first_lr(undisturbed)
    with kept_loss(lambda step, lr, loss: 9 * UNTRAINED if 22 <= step < STAGE_END and lr >= bad else loss):
        result = toy(tmp_path)
    assert result.status == "done"
    (back,) = events(tmp_path, "rolled_back")
    assert back["from_step"] == STAGE_START + TRIAL_STEPS, "judged at the end of a window as long as a trial"
    assert "loss above untrained" in back["reason"]


def test_a_loss_that_jumps_and_recovers_is_left_alone(undisturbed: Path, tmp_path: Path) -> None:
    with kept_loss(lambda step, lr, loss: 9 * UNTRAINED if 15 <= step < 22 else loss):
        result = toy(tmp_path)
    assert result.status == "done"
    assert not events(tmp_path, "rolled_back")
    assert_equal_weights(tmp_path, undisturbed)
    assert max(r["loss"] for r in events(tmp_path, "step")) == 9 * UNTRAINED, "and is on record"


def test_a_constant_loss_is_forecast_and_said_to_be_undetermined(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("autolrs_cli.training.engine.Engine.step", lambda self, *_: (math.log(2), 16))
    result = toy(tmp_path)
    assert result.status == "done"
    finished = events(tmp_path, "trial_finished")
    assert all(t["predicted"] == pytest.approx(math.log(2), abs=1e-6) for t in finished)
    assert all("undetermined" in t["flags"] for t in finished)
