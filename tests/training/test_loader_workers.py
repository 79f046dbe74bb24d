"""Loader workers that run out of shared memory, die, or keep one waiting: said in words, at once, never a hang."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import COMMAND, environment

from autolrs_cli.contracts import Batch
from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.training import shared_memory, workers
from autolrs_cli.training.interruption import RunInterrupted, StopRequest
from autolrs_cli.training.loader import TrainLoader, read_all

CPU = torch.device("cpu")
SMALL = "mount -t tmpfs -o size=1m tmpfs /dev/shm"


class Images:
    """Batches of 8 MB: too large for the pipe."""

    micro_batches = 2
    num_batches = 2

    def batch(self, place: Any) -> Batch:
        return {"images": torch.full((2, 3, 600, 600), 7.0).contiguous(memory_format=torch.channels_last)}


class Stuck:
    """Batches that never come."""

    micro_batches = 1

    def __init__(self, pipe: Path) -> None:
        self.pipe = pipe

    def batch(self, place: Any) -> Batch:
        self.pipe.read_text()  # nobody writes
        raise AssertionError


def with_small_shared_memory(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where /dev/shm has 1 MB, as far as this machine lets us make that so."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", SMALL], check=False).returncode:
        pytest.skip("mounting a small /dev/shm is not permitted here (it needs root and unshare)")
    script = f'{SMALL} && exec "$@"'
    return subprocess.run(
        [unshare, "-m", "sh", "-c", script, "sh", *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestSmallSharedMemory:
    def test_a_run_that_would_not_fit_is_refused_before_it_trains(self, tmp_path: Path) -> None:
        done = with_small_shared_memory(
            *COMMAND,
            "train",
            "recipe=resnet50",
            "scale=tiny",
            "schedule=original",
            "runtime.workers=2",
            "recipe.global_batch=512",
            "recipe.micro_batch=512",
            "dashboard=plain",
            f"run.dir={tmp_path / 'run'}",
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "/dev/shm has 1.0 MiB left" in done.stderr
        assert "runtime.workers=0" in done.stderr
        assert "--shm-size" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "run" / "journal.jsonl").exists()

    def test_a_worker_that_finds_none_says_so_at_once(self) -> None:
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]); import torch\n"
            "from test_loader_workers import CPU, Images, TrainLoader\n"
            "try:\n"
            "    list(TrainLoader(Images(), 0, 2, CPU).read())\n"
            "except Exception as error:\n"
            "    print(type(error).__name__, error)\n"
        )
        here = Path(__file__).parent
        path = os.pathsep.join([str(here.parent), str(here)])
        program = program.replace("sys.path.insert(0, sys.argv[1])", "sys.path[:0] = sys.argv[1].split(':')")
        done = with_small_shared_memory(sys.executable, "-c", program, path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(
            "TrainingError A loader worker must find shared memory for its batch (8.2 MiB)"
        )
        assert "runtime.workers=0" in done.stdout

    def test_it_is_known_from_the_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        batch, small = Images().batch(0), {"tokens": torch.zeros(1000)}
        size = batch["images"].nbytes
        monkeypatch.setattr(shared_memory, "free_bytes", lambda: 8 * size)
        shared_memory.require_room(batch, [small, small], 3)  # 3 * 2 ready, 2 in use
        shared_memory.require_room(batch, [batch], 0)
        shared_memory.require_room(batch, [batch], 1)
        with pytest.raises(
            ConfigError, match=r"must hold 8 of them \(131\.8 MiB: 8\.2 MiB each .* 8\.2 MiB held out"
        ):
            shared_memory.require_room(batch, [small, batch], 3)
        monkeypatch.setattr(shared_memory, "free_bytes", lambda: None)  # a system without the folder
        shared_memory.require_room(batch, [batch], 99)

    def test_where_there_is_no_such_folder_nothing_is_known(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert shared_memory.free_bytes() is None or shared_memory.free_bytes() > 0
        monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "nowhere")
        assert shared_memory.free_bytes() is None

    def test_an_error_in_a_worker_comes_as_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(tensor: torch.Tensor) -> None:
            raise RuntimeError(
                "unable to allocate shared memory(shm): No space left on device (28)\nC++ frames"
            )

        monkeypatch.setattr(torch.Tensor, "share_memory_", full)
        with pytest.raises(TrainingError, match=r"No space left on device \(28\)\. Set runtime\.workers=0"):
            next(TrainLoader(Images(), 0, 1, CPU).read())
        with pytest.raises(TrainingError, match="No space left"):
            list(read_all(Images(), 1, CPU))

    def test_large_batches_come_as_they_are(self) -> None:
        for batch in [*TrainLoader(Images(), 0, 2, CPU).read(), *read_all(Images(), 2, CPU)]:
            expected = Images().batch(0)["images"]
            assert batch["images"].equal(expected)
            assert batch["images"].stride() == expected.stride()


class TestWaiting:
    @pytest.fixture
    def stuck(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stuck:
        monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.05)
        os.mkfifo(tmp_path / "pipe")
        return Stuck(tmp_path / "pipe")

    def test_the_first_interrupt_ends_the_wait_for_a_step(self, stuck: Stuck) -> None:
        stop = StopRequest()
        asked = []

        def waiting() -> None:
            if not asked:
                asked.append(os.kill(os.getpid(), signal.SIGINT))
            stop.check()

        with stop.listening(), pytest.raises(RunInterrupted):
            next(TrainLoader(stuck, 0, 1, CPU, waiting=waiting).read())

    def test_within_a_step_nobody_may_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "PATIENCE_SECONDS", 1e-4)
        taken: list[int] = []
        seen: list[int] = []
        reading = TrainLoader(
            Images(), 0, 1, CPU, waiting=lambda: seen.append(len(taken) % Images.micro_batches)
        )
        for _ in range(5):
            for _ in reading.read():
                taken.append(1)  # noqa: PERF401 - as they come
        assert set(seen) <= {0}

    def test_waiting_loses_no_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "PATIENCE_SECONDS", 1e-4)
        reading = TrainLoader(Numbered(), 0, 2, CPU)
        for first in (0, 7, 3, 11):
            reading.seek(first)
            read = [int(batch["step"]) for _ in range(10) for batch in reading.read()]
            assert read == [*range(first, first + 10)]

    def test_a_worker_that_dies_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.05)
        with pytest.raises(TrainingError, match="one died"):
            next(TrainLoader(Dying(), 0, 1, CPU).read())


class Numbered:
    micro_batches = 1

    def batch(self, place: Any) -> Batch:
        return {"step": torch.tensor(place.step)}


class Dying:
    micro_batches = 1

    def batch(self, place: Any) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
