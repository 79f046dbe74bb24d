"""The SLURM launcher, against commands that say what SLURM's say."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from launching import SLURM, job
from processes import USER

from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers import slurm, slurm_task
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.experiments.launchers.mailbox import Ended, SweepFiles, folders_of
from autolrs_cli.experiments.launchers.slurm import SlurmLauncher
from autolrs_cli.experiments.sweep.sweep import main


@pytest.fixture
def files(tmp_path: Path) -> SweepFiles:
    """Three runs to be started."""
    return SweepFiles.create(tmp_path / "s", [job(tmp_path / name) for name in "abc"], fail_fast=False)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a command in place of SLURM's: a shell script; returns where it notes what it was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        noted = folder / f"{name}.given"
        (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {noted}\n{script}\n')
        (folder / name).chmod(0o755)
        return noted

    return put


class TestSlurm:
    """What it is told, and how its silence is read."""

    def test_one_array_with_all_that_was_asked_for(
        self, files: SweepFiles, command: Callable[[str, str], Path]
    ) -> None:
        given = command("sbatch", "")
        launcher_for(SLURM).start(files, [])
        assert given.read_text() == f"--export=ALL {files.array_script}\n"
        options = [
            line.split()[1]
            for line in files.array_script.read_text().splitlines()
            if line.startswith("#SBATCH ")
        ]
        assert options == [
            f"--job-name={files.folder.name}",
            "--array=0-2%2",
            f"--output={files.folder}/launcher-%a.log",
            "--open-mode=append",
            "--requeue",
            "--ntasks=1",
            "--cpus-per-task=8",
            "--partition=gpu",
            "--gres=gpu:a100:1",
            "--mem=1536M",
            "--time=240",
            "--signal=TERM@120",
            "--account=mine",
        ]
        subprocess.run(["sh", "-n", str(files.array_script)], check=True)

    def test_its_refusal_is_said_in_its_own_words(
        self, files: SweepFiles, command: Callable[[str, str], Path]
    ) -> None:
        command("sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
        with pytest.raises(ConfigError, match="invalid partition specified: gpu"):
            launcher_for(SLURM).start(files, [])

    def test_where_there_is_none(self, files: SweepFiles, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(ConfigError, match="there is no sbatch here"):
            launcher_for(SLURM).start(files, [])

    def test_a_job_that_vanished_is_an_end_and_silence_is_none(
        self,
        files: SweepFiles,
        tmp_path: Path,
        command: Callable[[str, str], Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.0)
        command("sbatch", "")
        name = files.folder.name
        command(
            "squeue",
            f"echo '{name}|0|RUNNING|None'; echo '{name}|1|PENDING|Priority'; echo 'x|N/A|RUNNING|None'",
        )
        runs = launcher_for(SLURM).start(files, [])
        assert runs.goes_on()
        assert runs.notes() == {str(tmp_path / "b"): "queued: Priority"}
        assert files.ended(2) is None, "a job may be missing for a moment"
        assert runs.goes_on()
        lost = files.ended(2)
        assert lost is not None
        assert "SLURM has no job for it any more" in lost.reason

        command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
        for _ in range(3):
            assert runs.goes_on()
        assert "Unable to contact" in runs.notes()[""]

        files.note_end(0, Ended(0, 1.0))
        files.task_log("1").write_text("slurmstepd: error: *** JOB 7 ON n1 CANCELLED ***\n")
        command("squeue", "")
        assert runs.goes_on()
        assert not runs.goes_on()
        lost = files.ended(1)
        assert lost is not None
        assert "CANCELLED" in lost.reason
        assert files.ended(0) == Ended(0, 1.0)

    def test_a_command_typed_again_finds_the_array(
        self, files: SweepFiles, tmp_path: Path, command: Callable[[str, str], Path]
    ) -> None:
        launcher = launcher_for(SLURM)
        assert isinstance(launcher, SlurmLauncher)
        command("squeue", f"echo '{files.folder.name}|1|PENDING|Priority'")
        assert [each.folder for each in launcher.under_way(tmp_path / "s")] == [files.folder]
        command("squeue", "echo 'another|1|PENDING|Priority'")
        assert launcher.under_way(tmp_path / "s") == []

    def test_an_array_that_was_stopped_takes_no_other_with_it(
        self, files: SweepFiles, tmp_path: Path, command: Callable[[str, str], Path]
    ) -> None:
        other = SweepFiles.create(tmp_path / "other", [job(tmp_path / "d")], fail_fast=True)
        queued = "".join(f"echo '{each.folder.name}|0|PENDING|Priority'; " for each in (files, other))
        command("sbatch", "")
        command("squeue", queued)
        given = command("scancel", "")
        files.ask_to_stop("SIGINT")
        runs = launcher_for(SLURM).start(other, [files])
        assert runs.goes_on()
        assert given.read_text() == f"--state=PENDING --name={files.folder.name}\n"

    def test_an_end_that_is_known_is_not_written_over(self, files: SweepFiles) -> None:
        files.note_end(0, Ended(0, 1.0))
        files.note_lost(0, "gone")
        assert files.ended(0) == Ended(0, 1.0)
        files.discard()
        files.note_lost(1, "gone")
        assert not files.folder.exists(), "another terminal has put it away"

    @pytest.mark.parametrize("spelled", ["s", "./s/../s", "{here}/s"])
    def test_a_sweep_typed_again_runs_nothing_twice_however_its_folder_is_spelled(
        self,
        spelled: str,
        tmp_path: Path,
        command: Callable[[str, str], Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given = ("--config-dir", str(USER), "recipe=toy", "schedule=original", "seed=0,1", "launcher=slurm")
        submitted = command("sbatch", "")

        def detached(directory: str, *, again: bool = False) -> str:
            main(
                given,
                directory=Path(directory),
                fail_fast=False,
                rerun_failed=again,
                compare=False,
                detach=True,
            )
            return capsys.readouterr().out

        detached("s")
        (folder,) = folders_of(tmp_path / "s")
        name = folder.folder.name
        command("squeue", f"echo '{name}|0|PENDING|Priority'; echo '{name}|1|PENDING|Priority'")
        assert "0 to run now" in detached(spelled.format(here=tmp_path))
        assert len(submitted.read_text().splitlines()) == 1

        # The first run has ended, though SLURM has not cleared its job away: it can be begun again.
        folder.note_end(0, Ended(143, 1.0))
        time.sleep(1.1)  # folders are named by the second
        assert "1 to run now" in detached(spelled.format(here=tmp_path))

    def test_a_run_that_is_not_begun_again_stays_where_it_is(
        self, tmp_path: Path, command: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given = ("--config-dir", str(USER), "recipe=toy", "schedule=original", "seed=0", "launcher=slurm")
        options = {"directory": Path("s"), "fail_fast": False, "compare": False, "detach": True}
        command("sbatch", "")
        main(given, rerun_failed=False, **options)
        (folder,) = folders_of(tmp_path / "s")
        (place,) = folder.places()
        place.mkdir(parents=True)
        (place / "summary.json").write_text(json.dumps({"status": "failed", "ledger": {}, "total_steps": 0}))
        command("squeue", f"echo '{folder.folder.name}|0|RUNNING|None'")
        main(given, rerun_failed=True, **options)
        assert place.exists(), "SLURM has it, and may be about to go on with it"

    @pytest.mark.parametrize(
        ("state", "requeue", "code", "requeued"),
        [
            ("RUNNING", 0, slurm_task.QUEUED_AGAIN, True),  # preempted, or near its time limit
            ("COMPLETING", 0, slurm_task.QUEUED_AGAIN, False),  # cancelled, or requeued by somebody else
            ("RUNNING", 1, ExitCode.SIGTERM, True),  # on a cluster that requeues nothing
        ],
    )
    def test_a_job_that_is_stopped_goes_back_into_the_queue(
        self,
        files: SweepFiles,
        command: Callable[[str, str], Path],
        monkeypatch: pytest.MonkeyPatch,
        state: str,
        requeue: int,
        code: int,
        requeued: bool,
    ) -> None:
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
        monkeypatch.setattr(slurm_task, "carry_out", lambda *_: Ended(ExitCode.SIGTERM, 1.0))
        command("squeue", f"echo {state}")
        given = command("scontrol", f"exit {requeue}")
        assert slurm_task.main(files, 1) == code
        assert given.exists() == requeued
        assert (files.ended(1) is None) == (code == slurm_task.QUEUED_AGAIN)
        if requeued:
            assert given.read_text() == "requeue 7_1\n"
