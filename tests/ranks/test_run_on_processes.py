"""One run on two processes: real processes, real signals, bit-equal resuming."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import assert_equal_weights, events, weights
from processes import TOY, autolrs, start, wait_for_event, wait_until
from resuming import assert_same_run

TWO = "runtime.processes=2"
SHORT = (*TOY, TWO, "run.dir=run", "recipe.num_phases=2", "average=ema")
LEAN = (
    *TOY,
    TWO,
    "search=lean",
    "search.level_divisor=40.0",
    "search.ramp_fraction=0.1",
    "run.max_steps=120",
)
LONG = (
    *TOY,
    TWO,
    "run.dir=run",
    "run.max_steps=50000",
    "search.max_stage_steps=40",
    "run.log_every_steps=10",
)
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = autolrs(*SHORT, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "run"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start runs of which nothing is left after the test."""
    begun: list[psutil.Process] = []

    def begin(*arguments: str, **changes: str) -> subprocess.Popen[str]:
        process = start(*arguments, cwd=tmp_path, **changes)
        begun.append(psutil.Process(process.pid))
        return process

    yield begin
    for process in begun:
        if process.is_running():
            for each in [*process.children(recursive=True), process]:
                each.kill()


def summary(directory: Path) -> dict[str, Any]:
    found = json.loads((directory / "summary.json").read_text())
    assert isinstance(found, dict)
    return found


def other_process(process: subprocess.Popen[str]) -> psutil.Process:
    """The one process beside rank 0: it has a session of its own, unlike what the tests' forks need."""
    children = psutil.Process(process.pid).children()
    (other,) = [child for child in children if os.getsid(child.pid) == child.pid]
    return other


def paused_search(directory: Path, process: subprocess.Popen[str]) -> None:
    wait_until(lambda: directory.exists() and len(finished_trials(directory)) >= 2, process)


def finished_trials(directory: Path) -> list[dict[str, Any]]:
    return events(directory, "trial_finished") if (directory / "journal.jsonl").exists() else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_is_the_same_run_on_both_and_says_how_many_they_are(undisturbed: Path) -> None:
    found = summary(undisturbed)
    assert found["processes"] == 2
    assert found["ledger"]["communication"]["seconds"] > 0
    (begun,) = events(undisturbed, "run_started")
    assert begun["config"]["runtime"]["processes"] == begun["description"]["processes"] == 2
    assert len(found["chosen"]) == 2


def test_processes_that_others_start_make_the_same_run(
    undisturbed: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    """As torchrun and srun do it: the same command twice, with a rank each; Hydra composes on rank 0 alone."""
    port = str(free_port())
    command = [word for word in SHORT if word != TWO]
    srun = {"SLURM_NTASKS": "2", "MASTER_PORT": port}
    first = running(*command, SLURM_PROCID="0", **srun)
    second = running("train", "nonsense=1", SLURM_PROCID="1", **srun)
    _, errors = first.communicate(timeout=120)
    assert (first.returncode, errors) == (0, "")
    assert (second.wait(PATIENCE_SECONDS), second.communicate()) == (0, ("", ""))
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_all_and_the_run_goes_on_bit_for_bit(
    victim: int, undisturbed: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    process = running(*SHORT)
    paused_search(tmp_path / "run", process)
    other = other_process(process)
    if victim == 0:
        process.kill()
        other.wait(PATIENCE_SECONDS)
        assert not (tmp_path / "run" / "summary.json").exists()
    else:
        other.kill()
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        found = summary(tmp_path / "run")
        assert (found["status"], found["cause"], process.returncode) == ("interrupted", "process_lost", 143)
        assert "process 1 of 2 was killed by SIGKILL" in found["reason"]
        assert "autolrs resume run" in out
    resumed = autolrs("resume", "run", TWO, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert summary(tmp_path / "run")["bit_exact"]
    assert_same_run(tmp_path / "run", undisturbed)


def test_a_stopped_process_stops_all_with_a_checkpoint(
    undisturbed: Path, tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    process = running(*SHORT)
    wait_for_event(tmp_path / "run", "step", process)
    os.kill(other_process(process).pid, signal.SIGUSR1)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert summary(tmp_path / "run")["cause"] == "sigusr1"
    assert autolrs("resume", "run", TWO, cwd=tmp_path).returncode == 0
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.cluster
def test_a_lean_search_killed_after_a_trial_of_a_check_goes_on_bit_for_bit(
    tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    """Its trials are judged by averaged weights, batch by batch, and its winner's steps are kept."""
    whole = autolrs(*LEAN, "run.dir=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert any(choice["kept_steps"] for choice in events(tmp_path / "whole", "lr_chosen"))
    process = running(*LEAN, "run.dir=run")
    paused_search(tmp_path / "run", process)
    other_process(process).kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert autolrs("resume", "run", cwd=tmp_path).returncode == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_frozen_process_is_noticed(tmp_path: Path, running: Callable[..., subprocess.Popen[str]]) -> None:
    process = running(*LONG, "schedule=original", "runtime.timeout_seconds=2")
    wait_for_event(tmp_path / "run", "step", process)
    other = other_process(process)
    other.suspend()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert "did not answer within 2 s (runtime.timeout_seconds)" in summary(tmp_path / "run")["reason"]
    assert not other.is_running()


@pytest.mark.cluster
def test_a_second_ctrl_c_waits_for_no_frozen_process(
    tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    process = running(*LONG, "schedule=original")
    wait_for_event(tmp_path / "run", "step", process)
    other = other_process(process)
    other.suspend()
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first one waits for the step that it is in"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert not other.is_running()


def test_the_time_limit_is_rank_0s(tmp_path: Path) -> None:
    done = autolrs(*LONG, "schedule=original", "runtime.max_seconds=0.01", cwd=tmp_path)
    assert done.returncode == 75, done.stderr
    assert summary(tmp_path / "run")["step"] == 1


def test_another_number_of_processes_is_another_run(undisturbed: Path, tmp_path: Path) -> None:
    assert autolrs(*SHORT, "runtime.max_seconds=0.01", cwd=tmp_path).returncode == 75
    refused = autolrs("resume", "run", "runtime.processes=1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "as many processes as it began with, but got 1 and it began with 2" in " ".join(
        refused.stderr.split()
    )
    allowed = ("--allow-change", "runtime.processes")
    done = autolrs("resume", "run", "runtime.processes=1", *allowed, "runtime.max_seconds=null", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = summary(tmp_path / "run")
    assert (found["processes"], found["bit_exact"]) == (1, False)
    assert weights(tmp_path / "run").keys() == weights(undisturbed).keys()


def test_the_runs_of_a_sweep_may_have_several_processes(tmp_path: Path) -> None:
    jobs = ("schedule=original", "seed=0,1", "run.max_steps=20")
    done = autolrs("sweep", *TOY[1:], *jobs, TWO, "--dir", "s", "--no-compare", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in (tmp_path / "s").rglob("summary.json")]
    assert [each["processes"] for each in found] == [2, 2]


REFUSALS = {
    "no whole micro-batches": (
        ("train", "recipe=resnet50", "scale=tiny", "runtime.processes=3"),
        "runtime.processes=3 and recipe.global_batch=16, which is no multiple of 3 x 16 (recipe.micro_batch)",
    ),
    "no whole micro-batches at once": (
        ("train", "recipe=bert", "scale=tiny", "recipe.micro_batch=null", "runtime.processes=3"),
        "recipe.global_batch=8, which is no multiple of 3",
    ),
    "too many for the sentences": (
        ("train", "recipe=transformer", "scale=tiny", "runtime.processes=100"),
        "a sentence of data.max_length tokens for each micro-batch of each process",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_shared_out_is_refused_at_once(case: str, tmp_path: Path) -> None:
    command, said = REFUSALS[case]
    refused = autolrs(*command, "run.dir=run", cwd=tmp_path)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = autolrs(*TOY, cwd=tmp_path, RANK="0", WORLD_SIZE="2", MASTER_PORT=port)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "MASTER_PORT" in refused.stderr


def test_a_process_that_is_not_there_is_not_waited_for_ever(tmp_path: Path) -> None:
    env = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    refused = autolrs(*TOY, "runtime.timeout_seconds=1", cwd=tmp_path, **env)
    assert refused.returncode != 0
    assert "process 1 was not there within 1 s" in " ".join(refused.stderr.split())


def test_a_process_whose_starter_is_gone_does_not_look_for_it(tmp_path: Path) -> None:
    """Its standard input has ended, and nobody listens at the port: torch would try that for minutes."""
    env = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": str(free_port()), "AUTOLRS_LIFELINE": "1"}
    assert autolrs("train", cwd=tmp_path, **env).returncode == 1


def test_a_run_that_is_done_is_so_on_several_processes_too(undisturbed: Path) -> None:
    env = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    resumed = autolrs("resume", "run", cwd=undisturbed.parent, **env)
    assert resumed.returncode == 0, resumed.stderr
    assert "run is done" in resumed.stdout


def test_a_wrong_command_ends_all(tmp_path: Path, running: Callable[..., subprocess.Popen[str]]) -> None:
    env = {"WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    second = running("train", RANK="1", **env)
    refused = autolrs("train", "recipe=none_such", cwd=tmp_path, RANK="0", **env)
    assert refused.returncode == 2
    assert second.wait(PATIENCE_SECONDS) == 2


RECIPES = {
    "resnet50": ("recipe.micro_batch=8",),
    "bert": ("recipe.micro_batch=4",),
    "transformer": ("recipe.micro_batches=1", "model.dropout=0.0"),
}


def begins_alike(one: Path, other: Path, count: int) -> None:
    """The first losses, before rounding grows: those of the warm-up, and of the first trials."""
    a, b = ([r["loss"] for r in events(path, "step", "trial_step")][:count] for path in (one, other))
    assert len(a) == count
    assert a == pytest.approx(b, rel=1e-4)


def test_it_begins_as_on_one_process(tmp_path: Path) -> None:
    command = ("train", "recipe=resnet50", "scale=tiny", "recipe.micro_batch=8", "schedule=original")
    short = ("run.max_steps=20", "original_schedule.milestones=[0.5]", "runtime.threads=1")
    for number in (1, 2):
        done = autolrs(*command, *short, f"runtime.processes={number}", f"run.dir=on{number}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    begins_alike(tmp_path / "on1", tmp_path / "on2", 20)


@pytest.mark.cluster
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_begins_as_on_one_process_and_survives_a_kill(
    recipe: str, tmp_path: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    command = ("train", f"recipe={recipe}", "scale=tiny", "runtime.threads=1", *RECIPES[recipe])
    for number in (1, 2):
        done = autolrs(*command, f"runtime.processes={number}", f"run.dir=on{number}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    begins_alike(tmp_path / "on1", tmp_path / "on2", 20)
    process = running(*command, TWO, "run.dir=killed")
    paused_search(tmp_path / "killed", process)
    other_process(process).kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert autolrs("resume", "killed", TWO, cwd=tmp_path).returncode == 0
    assert_same_run(tmp_path / "killed", tmp_path / "on2")


@pytest.mark.cluster
def test_torchrun(undisturbed: Path, tmp_path: Path) -> None:
    import sys

    from processes import environment

    command = [word for word in SHORT if word != TWO]
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-port",
        str(free_port()),
    ]
    subprocess.run(
        [*torchrun, "-m", "autolrs_cli", *command], cwd=tmp_path, env=environment(), check=True, timeout=300
    )
    assert_equal_weights(tmp_path / "run", undisturbed)
