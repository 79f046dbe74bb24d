"""`autolrs sweep` and `-m` over recipes: what is run, recognised, resumed, and said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import psutil
import pytest
import warm
from processes import USER, start, wait_until
from rich.console import Console

from autolrs_cli.compose.grid import compose_grid
from autolrs_cli.experiments.run_status import state_of
from autolrs_cli.experiments.sweep.jobs import make_jobs
from autolrs_cli.experiments.sweep.sweep import main
from autolrs_cli.records.journal import read_journal

MINE = ("--config-dir", str(USER))
# Seconds of training, so that there is time to stop it in the middle.
LONG = (
    *MINE,
    "recipe=toy",
    "schedule=original,constant",
    "run.max_steps=2500",
    "run.log_every_steps=100",
    "run.eval_every_steps=100",
)
# Three processes deep, each of which imports torch: on a machine that others use too, that takes a while.
PATIENT_SECONDS = 400
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.fixture
def sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """`autolrs sweep` in this process (its jobs have their own), in an empty folder; returns code, out, err."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(subprocess, "Popen", warm.Popen)

    def run(
        *overrides: str, fail_fast: bool = False, rerun_failed: bool = False, compare: bool = False
    ) -> Any:
        code = main(
            overrides, directory=Path("s"), fail_fast=fail_fast, rerun_failed=rerun_failed, compare=compare
        )
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def grid(*overrides: str) -> list[Any]:
    points, code = compose_grid(overrides, Console(stderr=True))
    assert code == 0
    return [point.composed for point in points]


def summaries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return each finished or stopped run's summary by its place."""
    found = sorted(folder.rglob("summary.json"))
    return {str(path.parent.relative_to(folder)): json.loads(path.read_text()) for path in found}


def root_of(tmp_path: Path, schedule: str) -> Path:
    """Return the run directory of a schedule, once it is there; the sweep has one run of each."""
    return next((tmp_path / "s" / "toy" / schedule).glob("seed0/*"), tmp_path / "none")


def has_event(root: Path, name: str) -> bool:
    journal = root / "journal.jsonl"
    return journal.exists() and any(record["event"] == name for record in read_journal(journal))


class TestGrid:
    """What a command line with several values stands for."""

    def test_recipes_and_scales_may_have_several_values(self) -> None:
        found = grid("recipe=resnet50,bert", "scale=tiny,bench", "seed=range(0,2)")
        settings = [(c.config["recipe"]["name"], c.config["scale"], c.config["seed"]) for c in found]
        assert settings == [
            (r, s, n) for r in ("resnet50", "bert") for s in ("tiny", "bench") for n in (0, 1)
        ]
        # The size of each is that of its own recipe and scale.
        by_key = {
            (c.config["recipe"]["name"], c.config["scale"]): c.config["run"]["max_steps"] for c in found
        }
        assert by_key == {
            ("resnet50", "tiny"): 210,
            ("resnet50", "bench"): 8471,
            ("bert", "tiny"): 210,
            ("bert", "bench"): 8080,
        }

    def test_settings_that_only_the_runs_have_reach_each_of_them(self) -> None:
        found = grid(
            "recipe=resnet50,bert",
            "scale=tiny",
            "recipe.global_batch=64",
            "schedule=sgdr,cosine",
            "schedule.peak_lr=0.25",
        )
        assert [c.config["recipe"]["global_batch"] for c in found] == [64] * 4
        assert {c.config["schedule"]["peak_lr"] for c in found} == {0.25}

    def test_a_setting_that_is_none_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, code = compose_grid(
            ["recipe=resnet50,bert", "scale=tiny", "recipe.nope=1"], Console(stderr=True, width=200)
        )
        assert code == 2
        assert "`recipe.nope` is not a setting" in capsys.readouterr().err

    def test_recipes_of_a_user(self) -> None:
        found = grid(*MINE, "recipe=toy,decoding", "seed=0,1")
        assert [c.config["recipe"]["name"] for c in found] == ["toy", "toy", "decoding", "decoding"]
        assert all(c.config_dir == MINE for c in found)

    def test_a_run_has_one_directory_whatever_cannot_change_its_results(self) -> None:
        jobs = make_jobs(grid(*MINE, "recipe=toy", "seed=0,1", "runtime.workers=0,2"), Path("x"))
        assert [job.label for job in jobs] == ["seed=0 runtime.workers=0", "seed=1 runtime.workers=0"]
        again = make_jobs(grid(*MINE, "seed=1", "dashboard=plain", "recipe=toy"), Path("x"))
        assert again[0].root == jobs[1].root
        other = make_jobs(grid(*MINE, "recipe=toy", "seed=1", "run.max_steps=140"), Path("x"))
        assert other[0].root != jobs[1].root

    def test_the_search_counts_among_the_steps(self) -> None:
        searched, plain = grid(*MINE, "recipe=toy", "schedule=autolrs,original")
        assert (searched.steps, plain.steps) == (130 + 3 * 60, 130)


class TestRunning:
    """Real processes for the jobs."""

    def test_a_failing_run_neither_stops_nor_hides_the_others(
        self, sweep: Callable[..., Any], tmp_path: Path
    ) -> None:
        command = (*MINE, "recipe=failing,toy", "schedule=original")
        code, out, err = sweep(*command)
        assert (code, err) == (1, "")
        assert "The file points.bin must be readable, but it is gone." in out
        states = {place.split("/")[0]: s["status"] for place, s in summaries(tmp_path / "s").items()}
        assert states == {"failing": "failed", "toy": "done"}
        assert "--rerun-failed" in out

        code, out, _ = sweep(*command)
        assert code == 1
        assert "1 failed, 1 done; 0 to run now" in out
        assert "points.bin" in out

        code, out, _ = sweep(*command, rerun_failed=True)
        assert code == 1
        assert "1 to run now" in out
        assert len(list((tmp_path / "s" / "failing").rglob("*.failed-1/journal.jsonl"))) == 1

    @pytest.mark.slow
    def test_fail_fast(self, sweep: Callable[..., Any], tmp_path: Path) -> None:
        code, out, _ = sweep(*MINE, "recipe=failing,toy", "schedule=original", fail_fast=True)
        assert code == 1
        assert [s["status"] for s in summaries(tmp_path / "s").values()] == ["failed"]
        assert "to come" in out

    def test_it_ends_in_the_comparison(self, sweep: Callable[..., Any], tmp_path: Path) -> None:
        command = (
            *MINE,
            "recipe=toy",
            "schedule=original,constant",
            "run.max_steps=40",
            "run.eval_every_steps=10",
        )
        code, out, _ = sweep(*command, compare=True)
        assert code == 0
        assert "speedups: original / arm" in out
        assert (tmp_path / "s" / "comparison" / "report.html").exists()

    def test_without_a_clear_baseline_it_says_what_to_type(
        self, sweep: Callable[..., Any], tmp_path: Path
    ) -> None:
        command = (*MINE, "recipe=toy", "schedule=constant", "schedule.peak_lr=0.05,0.1", "run.max_steps=40")
        code, out, err = sweep(*command, compare=True)
        assert code == 0, "the runs are done"
        assert "Set --baseline" in err
        assert "autolrs compare s --baseline 'NAME' --out s/comparison" in " ".join(out.split())

    def test_a_tuned_schedule_may_be_the_first(
        self, sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tuned = tmp_path / "mine" / "configs" / "schedule" / "tuned" / "toy" / "tiny" / "constant.yaml"
        tuned.parent.mkdir(parents=True)
        kept = (
            "_target_: autolrs_cli.schedules.Constant\nname: constant_tuned\npeak_lr: 0.05\nwarmup_steps: 0\n"
        )
        tuned.write_text(kept)
        monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path / "mine"))
        code, out, err = sweep(*MINE, "recipe=toy", "schedule=tuned/toy/tiny/constant", "run.max_steps=20")
        assert (code, err) == (0, ""), out
        assert [s["schedule"] for s in summaries(tmp_path / "s").values()] == ["constant_tuned"]

    @pytest.mark.parametrize("word", ["run.dir=x", "seed=", "hydra/launcher=nope"])
    def test_bad_input(self, sweep: Callable[..., Any], tmp_path: Path, word: str) -> None:
        code, _, err = sweep(*MINE, "recipe=toy", "schedule=original", word)
        assert code == 2
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1
        assert summaries(tmp_path / "s") == {}

    def test_what_is_wrong_with_one_run_is_said_before_any_begins(
        self, sweep: Callable[..., Any], tmp_path: Path
    ) -> None:
        code, _, err = sweep(*MINE, "recipe=toy", "search.lr_min=0.001,5", "seed=0,1")
        assert code == 2
        assert err.count("`lr_min < lr_max` must hold") == 1
        assert not (tmp_path / "s").exists()


class TestStopping:
    """Real signals to real processes."""

    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "PATIENCE_SECONDS", PATIENT_SECONDS)

    def finished(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        out, err = process.communicate(timeout=PATIENT_SECONDS)
        return process.returncode, out, err

    @pytest.mark.slow
    def test_ctrl_c_with_two_runs_at_once_and_going_on(
        self, sweep: Callable[..., Any], tmp_path: Path
    ) -> None:
        command = ("sweep", *LONG, "--dir", "s", "--no-compare")
        process = start(*command, *JOBLIB, cwd=tmp_path)
        wait_until(
            lambda: all(has_event(root_of(tmp_path, name), "eval") for name in ("original", "constant")),
            process,
        )
        os.killpg(process.pid, signal.SIGINT)
        code, out, err = self.finished(process)
        assert (code, err) == (130, "")
        assert "The same command goes on" in out
        assert [s["reason"] for s in summaries(tmp_path / "s").values()] == ["SIGINT", "SIGINT"]
        assert len(list((tmp_path / "s").rglob("checkpoints/step-*"))) >= 2

        code, out, err = sweep(*LONG)
        assert (code, err) == (0, "")
        assert "2 interrupted; 2 to run now" in out
        assert [(s["status"], s["resumed"], s["step"]) for s in summaries(tmp_path / "s").values()] == [
            ("done", 1, 2500)
        ] * 2

    def test_a_killed_sweep_leaves_nothing_running_and_is_taken_up(
        self, sweep: Callable[..., Any], tmp_path: Path
    ) -> None:
        command = ("sweep", *LONG, "--dir", "s")
        process = start(*command, cwd=tmp_path)
        wait_until(lambda: has_event(root_of(tmp_path, "constant"), "eval"), process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=PATIENT_SECONDS)
        assert alive == []
        first = root_of(tmp_path, "original") / "summary.json"
        written = first.stat().st_mtime_ns
        assert state_of(root_of(tmp_path, "constant")).state == "interrupted"

        code, out, err = sweep(*LONG)
        assert (code, err) == (0, "")
        assert "1 done, 1 interrupted; 1 to run now" in out
        assert first.stat().st_mtime_ns == written
        assert [(s["status"], s["step"]) for s in summaries(tmp_path / "s").values()] == [("done", 2500)] * 2
        assert json.loads((root_of(tmp_path, "constant") / "summary.json").read_text())["resumed"] == 1
        assert not list((tmp_path / "s").rglob(".sweep"))
