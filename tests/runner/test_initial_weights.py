"""Starting from the weights of another run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from harness import USER, assert_equal_weights, events, toy, weights
from killing import killed
from resuming import resume

from autolrs_cli.commands.train import main as train
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.reports.compare.compatibility import differences
from autolrs_cli.reports.compare.run_record import read_run
from autolrs_cli.training.engine import Engine

SHORT = ("schedule=constant", "run.max_steps=40", "run.eval_every_steps=20", f"run.config_dir={USER}")
COMMAND = ("--config-dir", str(USER), "recipe=toy", *SHORT[:3], "dashboard=none")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("source") / "run"
    toy(directory, "seed=7", *SHORT)
    return directory


@pytest.fixture
def at_step_0(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Weights of engines as they are made, averaged ones after their raw ones."""
    seen: list[dict[str, torch.Tensor]] = []
    built = Engine.__init__

    def noting(self: Engine, *args: object, **kwargs: object) -> None:
        built(self, *args, **kwargs)  # type: ignore[arg-type]
        copies = [self.model.state_dict()]
        if self.averaged is not None:
            copies.append(self.averaged_model.state_dict())
        seen.extend({name: tensor.clone() for name, tensor in each.items()} for each in copies)

    monkeypatch.setattr(Engine, "__init__", noting)
    return seen


def test_the_first_step_starts_from_them_and_so_does_the_average(
    source: Path, tmp_path: Path, at_step_0: list[dict[str, torch.Tensor]]
) -> None:
    toy(tmp_path / "run", f"run.init_from={source}", "average=ema", *SHORT)
    assert len(at_step_0) == 2
    for state in at_step_0:
        assert all(state[name].equal(stored) for name, stored in weights(source).items())


def test_it_is_recorded(source: Path, tmp_path: Path) -> None:
    toy(tmp_path / "run", f"run.init_from={source}", *SHORT)
    (began,) = events(tmp_path / "run", "run_started")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["init_from"] == {"run": str(source), "weights": began["initial_weights"]}
    assert len(began["initial_weights"]) == 16


def test_a_resumed_run_has_no_need_of_them(
    source: Path, tmp_path: Path, at_step_0: list[dict[str, torch.Tensor]]
) -> None:
    """Even if they are gone, and it ends as if it had not been stopped."""
    mine = Path(shutil.copytree(source, tmp_path / "mine"))
    more = (f"run.init_from={mine}", "run.checkpoint_every_seconds=1e-9", "run.eval_every_steps=20")
    toy(tmp_path / "whole", *SHORT, *more)
    assert killed("second checkpoint half written", lambda: toy(tmp_path / "run", *SHORT, *more))
    shutil.rmtree(mine)
    at_step_0.clear()
    assert resume(tmp_path / "run") == 0
    assert not any(at_step_0[0][name].equal(stored) for name, stored in weights(source).items())
    assert_equal_weights(tmp_path / "run", tmp_path / "whole")
    one, other = (
        json.loads((tmp_path / name / "summary.json").read_text())["init_from"] for name in ("run", "whole")
    )
    assert one == other


def test_one_that_begins_again_must_find_the_same_ones(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copytree(source, tmp_path / "mine"))
    assert killed("first step", lambda: toy(tmp_path / "run", f"run.init_from={mine}", *SHORT))
    toy(tmp_path / "other", "seed=8", *SHORT)
    shutil.copy(tmp_path / "other" / "model.safetensors", mine)
    assert resume(tmp_path / "run") == 2
    assert "must begin again from the same weights" in " ".join(capsys.readouterr().err.split())
    shutil.copy(source / "model.safetensors", mine)
    assert resume(tmp_path / "run") == 0


def _without_weights(run: Path) -> None:
    (run / "model.safetensors").unlink()


def _cut(run: Path) -> None:
    with (run / "model.safetensors").open("r+b") as file:
        file.truncate(200)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (shutil.rmtree, "`run.init_from` must be the directory of a run, but"),
        (_without_weights, "`run.init_from` must be a run that is done, but"),
        (_cut, "The weights must be a whole safetensors file"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_written(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(Path(shutil.copytree(source, tmp_path / "mine")))
    assert train([*COMMAND, "run.init_from=mine", "run.dir=run"], started=time.perf_counter()) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_weights_of_another_model_are_refused_by_the_first_name_that_differs(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["recipe=resnet50", "scale=tiny", "dashboard=none", "run.dir=run", f"run.init_from={source}"]
    assert train(overrides, started=time.perf_counter()) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "must be a run of the same model" in told
    assert "there is no " in told
    assert not (tmp_path / "run").exists()


def test_the_path_is_made_absolute_and_part_of_the_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    run = tmp_path / "run"
    assert train([*COMMAND, "run.init_from=run", f"run.dir={run}"], started=time.perf_counter()) == 0
    assert f"init_from: {source}" in RunDirectory(run).config.read_text()


def test_runs_that_begin_differently_are_not_compared(source: Path, tmp_path: Path) -> None:
    toy(tmp_path / "drawn", *SHORT)
    toy(tmp_path / "from", f"run.init_from={source}", *SHORT)
    runs = [read_run(tmp_path / name) for name in ("drawn", "from")]
    (found,) = differences(runs, target_matters=False)
    assert "initial weights (run.init_from)" in found
