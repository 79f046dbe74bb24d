"""Trackers, as a person chooses them on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import USER, assert_equal_weights, composed, events
from harness import run as run_untracked
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autolrs_cli.commands.resume import main as resume
from autolrs_cli.settings import Settings, parse

SMALL = ("--config-dir", str(USER), "recipe=toy", "dashboard=none")
STEPS = ("run.max_steps=60", "run.eval_every_steps=20")


def steps_of(folder: Path, name: str) -> list[int]:
    read = EventAccumulator(str(folder))
    read.Reload()
    return [point.step for point in read.Scalars(name)]


def test_tensorboard_has_what_the_journal_has_and_changes_nothing(train: Callable, tmp_path: Path) -> None:
    said = train(
        *SMALL, *STEPS, "schedule=original", "tracker=tensorboard", f"run.dir={tmp_path / 'tracked'}"
    )
    assert (said.code, said.err) == (0, "")
    journal = [record["step"] for record in events(tmp_path / "tracked", "step")]
    assert steps_of(tmp_path / "tracked" / "tensorboard", "train/loss") == journal
    run_untracked(tmp_path / "plain", "recipe=toy", *STEPS, "schedule=original")
    assert_equal_weights(tmp_path / "tracked", tmp_path / "plain")


def test_a_run_that_was_not_tracked_is_tracked_from_its_beginning_when_it_goes_on(
    train: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    stopped = train(*SMALL, *STEPS, "schedule=original", "runtime.max_seconds=1e-9", f"run.dir={root}")
    assert stopped.code == 75
    changes = ["tracker=tensorboard", "runtime.max_seconds=null"]
    assert resume(root, changes, (), started=0.0) == 0
    assert steps_of(root / "tensorboard", "train/loss") == [r["step"] for r in events(root, "step")]


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboard"])
def test_a_library_that_is_not_there(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module = "torch.utils.tensorboard" if name == "tensorboard" else name
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    said = refused("recipe=resnet50", "scale=tiny", f"tracker={name}")
    assert f"pip install 'autolrs[{name}]'" in said


def test_several_at_once() -> None:
    settings: Settings = parse(Settings, composed("recipe=resnet50", "tracker=[tensorboard,mlflow]"))
    assert list(settings.tracker.chosen) == ["tensorboard", "mlflow"]
    settings = parse(Settings, composed("recipe=resnet50"))
    assert not settings.tracker.chosen


def test_an_unknown_tracker_when_going_on(
    train: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    assert (
        train(*SMALL, *STEPS, "schedule=original", "runtime.max_seconds=1e-9", f"run.dir={root}").code == 75
    )
    assert resume(root, ["tracker=nonsense"], (), started=0.0) == 2
    assert "mlflow, none, tensorboard, wandb" in capsys.readouterr().err
