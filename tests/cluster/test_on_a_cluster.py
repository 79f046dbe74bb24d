"""Sweeps on a real SLURM and a real Ray, disturbed half-way: each ends as if nobody had touched it, bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import psutil
import pytest
from processes import autolrs, start

pytestmark = pytest.mark.cluster

RUN = ("recipe=resnet50", "scale=tiny", "schedule=original", "run.max_steps=2500", "runtime.threads=1")
PATIENCE_SECONDS = 240


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Seed -> hash of the weights that a run on this machine, left in peace, ends with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = autolrs("sweep", *RUN, "seed=0,1", "launcher.jobs=2", "--dir", "s", "--no-compare", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return weights(folder)


def weights(folder: Path) -> dict[str, str]:
    found = folder.glob("s/resnet50/original/*/*/model.safetensors")
    return {path.parts[-3]: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def summaries(folder: Path) -> list[dict[str, Any]]:
    found = sorted(folder.glob("s/resnet50/original/*/*/summary.json"))
    return [json.loads(path.read_text()) for path in found]


def repeated(summary: dict[str, Any]) -> int:
    return int(summary["ledger"].get("repeated", {"steps": 0})["steps"])


def steps(folder: Path, seed: int = 0) -> int:
    """Return how far a run is."""
    for journal in folder.glob(f"s/resnet50/original/seed{seed}/*/journal.jsonl"):
        found = re.findall(rb'"total_steps":(\d+)', journal.read_bytes())
        return int(found[-1]) if found else 0
    return 0


def until(happened: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := happened()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out + err


class TestSlurm:
    """One node, which one run can have."""

    @pytest.fixture(autouse=True)
    def _slurm(self, slurm: dict[str, str], tmp_path: Path) -> None:
        self.environment = slurm
        self.folder = tmp_path
        self.command = (
            "sweep",
            *RUN,
            "seed=0",
            "launcher=slurm",
            "launcher.memory_gb=1",
            "--dir",
            "s",
            "--no-compare",
        )

    def say(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        )
        return done.stdout

    def job(self) -> str:
        return self.say("squeue", "--array", "--noheader", "--partition=low", "--format=%i").split()[0]

    def hurry(self, process: subprocess.Popen[str]) -> None:
        """Let a requeued job start now, not in two minutes, but once SLURM has let go of it."""
        job = until(lambda: self.waiting(), process)
        time.sleep(3)
        self.say("scontrol", "update", f"JobId={job}", "StartTime=now")

    def waiting(self) -> str:
        lines = self.say("squeue", "--array", "--noheader", "--format=%i %r").splitlines()
        return next((line.split()[0] for line in lines if line.endswith("BeginTime")), "")

    def test_requeued_and_preempted(self, undisturbed: dict[str, str]) -> None:
        process = start(*self.command, cwd=self.folder, cold=True, **self.environment)
        until(lambda: steps(self.folder) >= 60, process)
        self.say("scontrol", "requeue", self.job())
        self.hurry(process)
        reached = steps(self.folder)
        until(lambda: steps(self.folder) >= reached + 60, process)
        self.say("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
        self.hurry(process)
        code, said = ended(process)
        assert code == 0, said
        assert weights(self.folder) == {"seed0": undisturbed["seed0"]}
        (summary,) = summaries(self.folder)
        assert (summary["resumed"], repeated(summary), summary["bit_exact"]) == (2, 0, True)

    def test_cancelled_and_killed_it_ends_and_goes_on_when_typed_again(
        self, undisturbed: dict[str, str]
    ) -> None:
        process = start(*self.command, cwd=self.folder, cold=True, **self.environment)
        until(lambda: steps(self.folder) >= 60, process)
        self.say("scancel", self.job())
        code, said = ended(process)
        assert (code, "interrupted" in said) == (1, True), said
        reached = steps(self.folder)

        left = autolrs(*self.command, "--detach", cwd=self.folder, **self.environment)
        assert left.returncode == 0, left.stdout + left.stderr
        process = start(*self.command, cwd=self.folder, cold=True, **self.environment)
        until(lambda: steps(self.folder) >= reached + 60, process)
        (task,) = [each for each in psutil.process_iter(["cmdline"]) if self.is_task(each)]
        task.send_signal(signal.SIGKILL)
        code, said = ended(process)
        assert code == 1, said
        assert "0 to run now" in said, "it watched what the command before it had left"

        done = autolrs(*self.command, cwd=self.folder, **self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert weights(self.folder) == {"seed0": undisturbed["seed0"]}
        (summary,) = summaries(self.folder)
        assert (summary["resumed"], repeated(summary)) == (2, 0)

    def is_task(self, process: psutil.Process) -> bool:
        words = process.info["cmdline"] or []
        return (
            "autolrs_cli.experiments.launchers.slurm_task" in words
            and str(self.folder) in " ".join(words)
            and "srun" not in words[0]
        )

    def test_a_partition_that_is_not_there(self) -> None:
        done = autolrs(*self.command, "launcher.partition=nope", cwd=self.folder, **self.environment)
        assert done.returncode == 2
        assert "invalid partition specified: nope" in done.stderr
        assert not list(self.folder.rglob("jobs.json"))

    def test_ctrl_c_stops_the_runs(self) -> None:
        process = start(*self.command, cwd=self.folder, cold=True, **self.environment)
        until(lambda: steps(self.folder) >= 20, process)
        os.killpg(process.pid, signal.SIGINT)
        code, said = ended(process)
        assert code == 130, said
        assert summaries(self.folder)[0]["cause"] == "sigint"
        assert self.say("squeue", "--noheader", "--partition=low", "--states=PENDING") == ""


class TestRay:
    """A private one, and one of two nodes of which one dies."""

    def sweep(self, *more: str) -> tuple[str, ...]:
        return ("sweep", *RUN, "seed=0,1", "launcher=ray", *more, "--dir", "s", "--no-compare")

    def test_a_lost_worker_and_a_lost_node(
        self, ray_nodes: tuple[str, dict[str, str]], undisturbed: dict[str, str], tmp_path: Path
    ) -> None:
        address, own = ray_nodes
        process = start(*self.sweep(f"launcher.address={address}"), cwd=tmp_path, cold=True, **own)
        until(lambda: min(steps(tmp_path, seed) for seed in (0, 1)) >= 60, process)
        worker = next(
            each for each in psutil.process_iter(["name"]) if (each.info["name"] or "").startswith("ray::run")
        )
        worker.kill()
        until(
            lambda: any(
                each.get("resumed") or each["status"] == "interrupted" for each in summaries(tmp_path)
            ),
            process,
        )
        (raylet,) = [
            each
            for each in psutil.process_iter(["cmdline"])
            if "raylet/raylet" in (each.info["cmdline"] or [""])[0]
            and "--node_ip_address=127.0.0.2" in each.info["cmdline"]
            and own["AUTOLRS_TEST_RAY"] in " ".join(each.info["cmdline"])
        ]
        raylet.kill()
        code, said = ended(process)
        assert code == 0, said
        assert weights(tmp_path) == undisturbed
        assert sum(each["resumed"] for each in summaries(tmp_path)) >= 1
        assert [repeated(each) for each in summaries(tmp_path)] == [0, 0]

    def test_ctrl_c_stops_the_runs_of_a_private_one_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        pytest.importorskip("ray", reason="needs Ray: pip install 'autolrs[ray]'")
        process = start(*self.sweep(), cwd=tmp_path, cold=True, AUTOLRS_TEST_PRIVATE=str(tmp_path))
        until(lambda: steps(tmp_path) >= 20, process)
        os.killpg(process.pid, signal.SIGINT)
        code, said = ended(process)
        assert code == 130, said
        assert {each["cause"] for each in summaries(tmp_path)} == {"sigint"}
        deadline = time.monotonic() + 60
        while left := [each.info for each in psutil.process_iter(["name"]) if self.is_of(each, tmp_path)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.2)

    def is_of(self, process: psutil.Process, folder: Path) -> bool:
        try:
            return process.environ().get("AUTOLRS_TEST_PRIVATE") == str(folder)
        except psutil.Error:
            return False

    def test_an_address_where_nobody_is(self, tmp_path: Path) -> None:
        pytest.importorskip("ray", reason="needs Ray: pip install 'autolrs[ray]'")
        done = autolrs(*self.sweep("launcher.address=127.0.0.1:1"), cwd=tmp_path)
        assert done.returncode == 2
        assert "nobody answers" in done.stderr
