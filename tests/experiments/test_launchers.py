"""Launchers: who ends with whom, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from harness import USER, assert_equal_weights, toy
from launching import LOCAL, LONG, SLURM, job
from processes import environment
from rich.console import Console

from autolrs_cli.compose.grid import compose_grid
from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.experiments.launchers.local import places_on
from autolrs_cli.experiments.launchers.mailbox import Ended, SweepFiles
from autolrs_cli.experiments.launchers.run_process import Surroundings, carry_out, note_end, was_taken_away
from autolrs_cli.experiments.run_status import RunState
from autolrs_cli.experiments.sweep import launch
from autolrs_cli.experiments.sweep.display import SweepDisplay
from autolrs_cli.experiments.sweep.jobs import make_jobs
from autolrs_cli.experiments.sweep.launch import Asked
from autolrs_cli.experiments.sweep.progress import SweepProgress
from autolrs_cli.experiments.sweep.sweep import main
from autolrs_cli.runner.gpu_share import bound_memory, sharing


@pytest.fixture
def files(tmp_path: Path) -> SweepFiles:
    """Three runs to be started."""
    return SweepFiles.create(tmp_path / "s", [job(tmp_path / name) for name in "abc"], fail_fast=False)


class TestWatching:
    """Real runs of the toy recipe, watched and not."""

    def watch(self, files: SweepFiles, here: Surroundings) -> Ended:
        ended = carry_out(files, 0, here)
        assert ended is not None
        return ended

    def test_a_place_that_is_taken_away_stops_its_own_run_which_goes_on_exactly(self, tmp_path: Path) -> None:
        toy(tmp_path / "undisturbed", "schedule=original", *LONG)
        files = SweepFiles.create(tmp_path / "s", [job(tmp_path / "run", *LONG)], fail_fast=False)
        journal = tmp_path / "run" / "journal.jsonl"
        begun = Surroundings(lambda: journal.exists() and b'"step":100,' in journal.read_bytes())
        ended = self.watch(files, begun)
        assert ended.code == ExitCode.SIGTERM
        assert files.stop() is None, "the other runs go on"
        assert was_taken_away(files, ended)
        ended = self.watch(files, Surroundings())
        assert (ended.code, was_taken_away(files, ended)) == (0, False)
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        assert (summary["resumed"], summary["ledger"]["repeated"]["steps"]) == (1, 0)
        assert_equal_weights(tmp_path / "undisturbed", tmp_path / "run")

    def test_a_run_ends_with_a_watcher_that_is_killed(self, tmp_path: Path) -> None:
        files = SweepFiles.create(
            tmp_path / "s", [job(tmp_path / "run", *LONG, "run.max_steps=100000")], fail_fast=False
        )
        code = (
            "import sys; from pathlib import Path\n"
            "from autolrs_cli.experiments.launchers.mailbox import SweepFiles\n"
            "from autolrs_cli.experiments.launchers.run_process import Surroundings, carry_out\n"
            "carry_out(SweepFiles(Path(sys.argv[1])), 0, Surroundings())"
        )
        watcher = subprocess.Popen([sys.executable, "-c", code, str(files.folder)], env=environment())
        journal = tmp_path / "run" / "journal.jsonl"
        self.until(lambda: journal.exists() and b'"step":100,' in journal.read_bytes())
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        summary = tmp_path / "run" / "summary.json"
        self.until(summary.exists)
        assert json.loads(summary.read_text())["cause"] == "sigterm"
        assert list((tmp_path / "run" / "checkpoints").iterdir())

    def until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not happened():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)

    def test_a_request_to_stop_is_no_reason_to_try_again(self, files: SweepFiles) -> None:
        assert was_taken_away(files, Ended(ExitCode.SIGTERM, 1.0))
        assert was_taken_away(files, None)
        assert not was_taken_away(files, Ended(ExitCode.TIME_LIMIT, 1.0)), (
            "runtime.max_seconds is the person's"
        )
        assert not was_taken_away(files, Ended(ExitCode.FAILED, 1.0))
        files.ask_to_stop("SIGINT")
        assert not was_taken_away(files, Ended(ExitCode.SIGTERM, 1.0))
        assert carry_out(files, 0, Surroundings()) is None
        note_end(files, 0, None)
        assert files.ended(0) is None


class TestLeaving:
    """What a signal to the command means to runs that go on without it."""

    @pytest.mark.parametrize(
        ("number", "left"), [(signal.SIGTERM, True), (signal.SIGHUP, True), (signal.SIGINT, False)]
    )
    def test_only_ctrl_c_stops_what_slurm_has(self, files: SweepFiles, number: int, left: bool) -> None:
        stopped: list[int] = []

        class Runs:
            def goes_on(self) -> bool:
                return not stopped

            def notes(self) -> dict[str, str]:
                return {}

            def stop(self, times: int) -> None:
                stopped.append(times)

            def problem(self) -> None:
                return None

        jobs = files.plan().jobs
        progress = SweepProgress(jobs, [RunState("to come")] * len(jobs), [files])
        asked = Asked([files], leaves=True)
        asked.hear(number, None)
        with SweepDisplay(progress, Console(quiet=True)) as display:
            launch._watch(Runs(), progress, display, asked)
        assert (asked.left, bool(stopped), files.stop() is None) == (left, not left, left)

    def test_elsewhere_each_of_them_does(self, files: SweepFiles) -> None:
        asked = Asked([files], leaves=False)
        asked.hear(signal.SIGTERM, None)
        assert not asked.left
        assert files.stop() is not None


class TestChoosing:
    """What a command line may ask for."""

    def grid(self, *overrides: str) -> list[Any]:
        given = ("--config-dir", str(USER), "recipe=toy", "schedule=original", *overrides)
        points, code = compose_grid(given, Console(stderr=True))
        assert code == 0
        return points

    def test_it_is_no_part_of_a_run(self) -> None:
        plain, cluster = self.grid(), self.grid("launcher=slurm", "launcher.cpus=4", "launcher.hours=2")
        one, other = (make_jobs([p.composed for p in each], Path("x")) for each in (plain, cluster))
        assert one == other
        assert "launcher" not in plain[0].composed.config
        assert (cluster[0].launcher["name"], cluster[0].launcher["cpus"]) == ("slurm", 4)

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({**LOCAL, "jobs": 0}, "launcher.jobs"),
            ({**LOCAL, "gpus": 1.5}, "launcher.gpus"),
            ({**SLURM, "hours": -1.0}, "launcher.hours"),
            ({"name": "kubernetes"}, "launcher.name"),
            ({**LOCAL, "job": 2}, "launcher.job"),
        ],
    )
    def test_bad_settings(self, given: dict[str, Any], problem: str) -> None:
        with pytest.raises(ConfigError, match=problem):
            launcher_for(given)

    def test_two_launchers_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="one launcher"):
            launcher_for({**LOCAL, "jobs": 2}, ["hydra/launcher=joblib"])

    @pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
    def test_ray_must_be_installed(self, files: SweepFiles) -> None:
        ray = {"name": "ray", "address": None, "jobs": None, "cpus": 1, "gpus": 0, "retries": 5}
        with pytest.raises(ConfigError, match=r"autolrs\[ray\]"):
            launcher_for(ray).start(files, [])

    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            (("launcher.partition=gpu",), "`launcher.partition` is not a setting"),
            (("launcher.jobs=1,2",), "have one launcher"),
            (("launcher=slurm",), "there is no sbatch here"),
        ],
    )
    def test_what_is_wrong_is_said_once_and_nothing_is_left(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        overrides: tuple[str, ...],
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "300")
        monkeypatch.setenv("PATH", "/nowhere")
        given = ("--config-dir", str(USER), "recipe=toy", "schedule=original", *overrides)
        code = main(given, directory=Path("s"), fail_fast=False, rerun_failed=False, compare=False)
        err = capsys.readouterr().err
        assert (code, err.count("error: ")) == (2, 1)
        assert said in err
        assert not list(tmp_path.rglob("jobs.json"))

    def test_a_launcher_of_hydras_that_fails_is_not_said_to_be_the_configuration(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "300")
        joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=0")
        given = ("--config-dir", str(USER), "recipe=toy", "schedule=original,constant", *joblib)
        code = main(given, directory=Path("s"), fail_fast=False, rerun_failed=False, compare=False)
        err = capsys.readouterr().err
        assert code == 2
        assert "Hydra's launcher must run the jobs, but it failed: " in err
        assert "must compose" not in err


def test_devices_are_shared_or_given_whole() -> None:
    assert places_on(["0", "1"], 0.5) == ["0", "1", "0", "1"]
    assert places_on(["4", "5", "6"], 1) == ["4", "5", "6"]
    assert places_on(["0", "1", "2", "3", "4"], 2) == ["0,1", "2,3"]
    for gpus in (0.25, 2):
        with pytest.raises(ConfigError, match=r"launcher\.gpus"):
            places_on([], gpus)


def test_runs_that_share_a_device_are_told_their_part_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sharing(0.25) == {"AUTOLRS_GPU_SHARE": "0.25"}
    assert sharing(1) == sharing(2) == {}
    bounded: list[float] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", bounded.append)
    bound_memory(sharing(0.25))
    bound_memory({})
    assert bounded == [0.25]


def test_no_more_runs_at_once_than_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolrs_cli.experiments.launchers import local

    at_once, most, lock = 0, 0, threading.Lock()

    def made(files: SweepFiles, number: int, here: Surroundings) -> Ended:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return Ended(0, 0.0)

    monkeypatch.setattr(local, "carry_out", made)
    files = SweepFiles.create(tmp_path, [job(tmp_path / str(n)) for n in range(6)], fail_fast=False)
    runs = launcher_for({**LOCAL, "jobs": 2}).start(files, [])
    while runs.goes_on():
        time.sleep(0.02)
    assert (most, runs.problem()) == (2, None)
    assert all(files.ended(n) == Ended(0, 0.0) for n in range(6))
