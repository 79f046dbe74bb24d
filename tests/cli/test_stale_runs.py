"""Data change under the same settings: what was made of the old ones is named, and made again when asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warm
from processes import autolrs
from rich.console import Console

from autolrs_cli.compose.grid import compose_grid
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.sweep.jobs import make_jobs
from autolrs_cli.experiments.sweep.stale import CurrentData
from autolrs_cli.experiments.sweep.sweep import main
from autolrs_cli.records.find_runs import runs_below

USER = Path(__file__).parents[1] / "user"
RECIPE = """
from pathlib import Path

from toy_recipe import ToyRecipe

FOLDER = Path(__file__).parent


class OnDisk(ToyRecipe):
    def fingerprint(self):
        with (FOLDER / "looked").open("a") as file:
            file.write(".")
        return (FOLDER / "data.txt").read_text()
"""
SUMMARY = {"status": "done", "step": 20, "total_steps": 20, "metrics": {"loss": 0.25}, "ledger": {}}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A person's folder with a recipe whose data are the file data.txt: old."""
    own = tmp_path / "mine"
    (own / "recipe").mkdir(parents=True)
    (own / "toy_recipe.py").symlink_to(USER / "toy_recipe.py")
    (own / f"on_disk_{tmp_path.name}.py").write_text(RECIPE)
    settings = (USER / "recipe" / "toy.yaml").read_text()
    (own / "recipe" / "mine.yaml").write_text(
        settings.replace("toy_recipe.ToyRecipe", f"on_disk_{tmp_path.name}.OnDisk").replace(
            "name: toy", "name: mine"
        )
    )
    (own / "data.txt").write_text("old")
    return own


@pytest.fixture
def command(mine: Path) -> tuple[str, ...]:
    return ("--config-dir", str(mine), "recipe=mine", "schedule=constant", "run.max_steps=20", "seed=0,1")


def jobs_of(command: tuple[str, ...], folder: Path) -> tuple[list[Job], CurrentData]:
    console = Console(stderr=True)
    points, code = compose_grid(command, console)
    assert code == 0
    data = CurrentData(console)
    data.add(points)
    return make_jobs([point.composed for point in points], folder), data


def leave(job: Job, summary: dict[str, Any] | None, data: str = "old") -> None:
    """Leave a run directory as a run on some data does; without a summary, as one that was killed."""
    root = Path(job.root)
    root.mkdir(parents=True)
    (root / "config.yaml").touch()
    began = {"event": "run_started", "data_fingerprint": data}
    (root / "journal.jsonl").write_text(json.dumps(began) + "\n")
    if summary is not None:
        (root / "summary.json").write_text(json.dumps({**summary, "data_fingerprint": data}))


@pytest.fixture
def sweep(
    tmp_path: Path,
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """`autolrs sweep` of two runs, in this process; returns code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(subprocess, "Popen", warm.Popen)

    def run(**options: bool) -> tuple[int, str]:
        code = main(
            command, directory=Path("s"), fail_fast=False, rerun_failed=False, compare=True, **options
        )
        said = capsys.readouterr()
        assert said.err == ""
        return code, said.out

    return run


class TestSweep:
    """Finished and interrupted runs of data that have changed."""

    def test_unchanged_data_are_looked_at_once_for_all_runs(
        self, mine: Path, command: tuple[str, ...], sweep: Callable[..., tuple[int, str]]
    ) -> None:
        for job in jobs_of(command, Path("s"))[0]:
            leave(job, SUMMARY)
        code, out = sweep()
        assert code == 0
        assert "2 done; 0 to run now" in out
        assert (mine / "looked").read_text() == "."

    def test_runs_of_other_data_are_named_and_not_called_done(
        self, mine: Path, command: tuple[str, ...], sweep: Callable[..., tuple[int, str]]
    ) -> None:
        first, second = jobs_of(command, Path("s"))[0]
        leave(first, SUMMARY)
        leave(second, None)
        (mine / "data.txt").write_text("new")
        code, out = sweep()
        assert code == 1
        assert "2 stale; 0 to run now" in out
        assert f"{first.root}: its data had the fingerprint old and have new now" in out
        assert "--rerun-stale" in out
        assert Path(first.root, "summary.json").exists()

    def test_they_are_run_again_when_asked_and_the_old_ones_are_kept(
        self, mine: Path, command: tuple[str, ...], sweep: Callable[..., tuple[int, str]]
    ) -> None:
        first, second = jobs_of(command, Path("s"))[0]
        leave(first, SUMMARY)
        leave(second, SUMMARY, data="new")
        (mine / "data.txt").write_text("new")
        code, out = sweep(rerun_stale=True)
        assert code == 0, out
        assert "1 stale, 1 done; 1 to run now" in out
        assert json.loads(Path(first.root, "summary.json").read_text())["data_fingerprint"] == "new"
        kept = Path(f"{first.root}.stale-1", "summary.json")
        assert json.loads(kept.read_text())["data_fingerprint"] == "old"
        assert sorted(runs_below(Path("s"))) == sorted([Path(first.root), Path(second.root)])


def test_no_data_are_looked_at_where_nothing_was_run(
    mine: Path, command: tuple[str, ...], tmp_path: Path
) -> None:
    jobs, data = jobs_of(command, tmp_path / "s")
    assert [state.state for state in data.states(jobs)] == ["to come"] * 2
    assert not (mine / "looked").exists()


def test_a_reproduction_does_not_go_on_with_a_target_of_other_data(mine: Path, tmp_path: Path) -> None:
    reproduce = ("reproduce", "mine", "--config-dir", str(mine), "--scale", "tiny", "--seeds", "2", "--cost")
    target = tmp_path / "reproduction" / "tiny" / "mine" / "target.yaml"
    target.parent.mkdir(parents=True)
    node = {"metric": "accuracy", "value": 0.9, "margin": 0.1, "seeds": [2000, 2001], "command": "autolrs"}
    target.write_text(json.dumps({"target": {**node, "data_fingerprint": "older"}}))
    refused = autolrs(*reproduce, cwd=tmp_path)
    assert refused.returncode == 2
    assert "fingerprint older and have old now. The same command with --rerun-stale" in refused.stderr
    asked = autolrs(*reproduce, "--rerun-stale", cwd=tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "calibration" in asked.stdout
