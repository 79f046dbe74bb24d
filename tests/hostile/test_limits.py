"""Little room, few file handles, a run directory that vanishes; and that nothing grows: a run of its own each."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import warm
from harness import composed, events
from processes import COMMAND, PATIENCE_SECONDS, TOY, autolrs, environment

from autolrs_cli.errors import AutoLRSError
from autolrs_cli.records.journal import Record, read_journal
from autolrs_cli.runner.execute import Result, execute, open_directory
from autolrs_cli.runner.plan import check
from autolrs_cli.training.checkpoint import Checkpoints

NOISE = ("Traceback", 'File "', "Exception ignored")


def limited(limit: int, most: int, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `autolrs ARGUMENTS` under a limit of the system, for example on the size of a file."""
    with warm.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=warm.Limited(limit, most),
    ) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_with(listener: Callable[[Record], None], directory: Path, *overrides: str) -> Result:
    """Run the toy recipe in this process; `listener` hears each record, and may do something at one."""
    config = composed("recipe=toy", f"run.dir={directory}", *overrides)
    plan = check(config)
    root = open_directory(plan, config)
    return execute(plan, config, root, started=0.0, listeners=(listener,))


def test_a_journal_that_has_no_room_stops_the_run_and_leaves_it_resumable(tmp_path: Path) -> None:
    """A file-size limit of the system is met in the middle of the journal, as a full disk would be."""
    done = limited(resource.RLIMIT_FSIZE, 24 * 1024, *TOY, "run.dir=run", "dashboard=plain", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert not any(noise in done.stdout + done.stderr for noise in NOISE), done.stderr
    assert "The journal must stay writable" in done.stdout + done.stderr
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["status"] == "failed"
    assert Checkpoints(tmp_path / "run" / "checkpoints").read() is not None
    whole = autolrs(*TOY, "run.dir=whole", "dashboard=none", cwd=tmp_path)
    resumed = autolrs("resume", "run", "dashboard=none", cwd=tmp_path)
    assert (whole.returncode, resumed.returncode) == (0, 0), resumed.stderr
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]


@pytest.mark.slow
@pytest.mark.parametrize("handles", [12, 20, 32])
def test_too_few_file_handles(tmp_path: Path, handles: int) -> None:
    done = limited(resource.RLIMIT_NOFILE, handles, *TOY, "run.dir=run", "dashboard=plain", cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1, 2), said
    if done.returncode:
        assert not any(noise in said for noise in NOISE), said
        assert "open files" in said


@pytest.mark.parametrize("event", ["trial_started", "eval"])
def test_a_run_directory_that_vanishes(tmp_path: Path, event: str) -> None:
    """Another process has removed the folder: the run ends with a clear word, and writes nothing elsewhere."""
    directory = tmp_path / "runs" / "run"

    def vanish(record: Record) -> None:
        if record["event"] == event and directory.exists():
            shutil.rmtree(directory)

    with pytest.raises(AutoLRSError, match="The run directory must"):
        run_with(vanish, directory)
    assert [path.name for path in tmp_path.rglob("*")] in (["runs"], ["runs", "run"])


def test_a_folder_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints cannot be written any more: training goes on, the one before stays, the person is told."""

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def close(record: Record) -> None:
        if record["event"] == "lr_chosen":
            monkeypatch.setattr("autolrs_cli.training.checkpoint.publish", read_only)

    assert run_with(close, tmp_path / "run").status == "done"
    told = [r["message"] for r in events(tmp_path / "run", "warned")]
    assert any("Read-only file system" in message and "Training goes on" in message for message in told)


def test_nothing_grows_from_stage_to_stage(tmp_path: Path) -> None:
    """The short form of scripts/soak_long.py: open files stay, and so does what a stage writes."""
    handles: list[int] = []
    process = psutil.Process()

    def count(record: Record) -> None:
        if record["event"] == "lr_chosen":
            handles.append(process.num_fds())

    stages = ("search.initial_stage_steps=20", "search.max_stage_steps=20", "search.trial_fraction=1")
    overrides = ("run.max_steps=250", "search.num_trials=2", "search.num_random_trials=1", *stages)
    assert run_with(count, tmp_path / "run", *overrides).status == "done"
    assert len(handles) == 12
    assert max(handles[2:]) <= handles[1]
    lengths = [0] * 12
    for line, record in zip(
        (tmp_path / "run" / "journal.jsonl").read_bytes().splitlines(),
        read_journal(tmp_path / "run" / "journal.jsonl"),
        strict=True,
    ):
        if record.get("stage") is not None:
            lengths[record["stage"]] += len(line)
    # Steps and times have more digits later on; nothing else may.
    assert max(lengths[1:]) < 1.1 * min(lengths[1:]), lengths
