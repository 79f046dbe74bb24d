"""Stages that diverge in training and runs that are killed, together."""

from __future__ import annotations

from pathlib import Path

import pytest
from diverging import nan_from
from harness import USER, events, run
from killing import ROLLBACK_MOMENTS, killed
from resuming import assert_same_run, resume

from autolrs_cli.training.checkpoint import Checkpoints

DIVERGES_AT, STAGE_START = 33, 10


def begin(directory: Path, *more: str) -> None:
    run(directory, "recipe=toy", f"run.config_dir={USER}", *more)


@pytest.fixture(scope="module")
def bad_lr(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Just below the LR that the first stage chooses."""
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    begin(directory)
    lr = events(directory, "lr_chosen")[0]["lr"]
    return float(lr) * 0.99


@pytest.fixture(scope="module")
def reference(bad_lr: float, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first stage is taken back once, and which was never stopped."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    with nan_from(DIVERGES_AT, bad_lr):
        begin(directory)
    assert len(events(directory, "rolled_back")) == 1
    return directory


@pytest.mark.parametrize("moment", ROLLBACK_MOMENTS)
def test_killed_while_a_stage_is_taken_back(
    tmp_path: Path, bad_lr: float, reference: Path, moment: str
) -> None:
    directory = tmp_path / "run"
    with nan_from(DIVERGES_AT, bad_lr):
        assert killed(moment, lambda: begin(directory)), f"the run never came to: {moment}"
        assert resume(directory) == 0
    assert_same_run(directory, reference)
    assert len(events(directory, "rolled_back")) == 1


def test_a_resumed_stage_goes_back_to_a_start_that_lies_on_disk(
    tmp_path: Path, bad_lr: float, reference: Path
) -> None:
    """Resume points in the middle of the stage do not push out the one at its start."""
    directory = tmp_path / "run"
    with nan_from(DIVERGES_AT, bad_lr):
        # Step 85 of the run: three trials of 20 and the warm-up of 10 are behind it, so it is kept step 25.
        assert killed("training", lambda: begin(directory, "run.checkpoint_every_seconds=1e-9"))
        steps = Checkpoints(directory / "checkpoints").steps()
        assert steps[0] == STAGE_START
        assert len(steps) == 3, "its start, and the last two"
        assert resume(directory) == 0
    assert_same_run(directory, reference)
