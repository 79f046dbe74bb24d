"""One run of a sweep, where a launcher put it: `autolrs train` or `resume` as a process of its own.

A process of its own, since a crash (a segmentation fault, memory that runs out) must not take the other runs along,
and since threads and deterministic kernels are settings of a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from autolrs_cli.experiments.own_process import environment, python_module
from autolrs_cli.experiments.sweep.jobs import Job
from autolrs_cli.experiments.sweep.mailbox import Ended, SweepFiles
from autolrs_cli.experiments.sweep.run_status import GOES_ON, RunState, state_of
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.wording import quoted

POLL_SECONDS = 0.1
# A sweep that was killed a moment ago leaves runs that are still writing their checkpoint.
PATIENCE_SECONDS = 20.0
KILLED_AT = 3
KEY = "autolrs_sweep"
"""The key under which the launcher's configuration says which job of which sweep."""


def run_job(config: DictConfig) -> None:
    """Run one job; called by Hydra's launcher, in whatever process and on whatever machine it likes.

    Args:
        config: `autolrs_sweep.folder` and `autolrs_sweep.job`; the rest is not read.
    """
    files = SweepFiles(Path(str(config[KEY].folder)))
    number = int(config[KEY].job)
    jobs, fail_fast, cwd = files.plan()
    job, began = jobs[number], time.monotonic()
    state = _once_free(Path(cwd, job.root), files)
    if files.stop() or state.state == "done":
        return
    if state.state == "in use":
        files.note_end(number, Ended(None, 0.0))
        return
    code = _in_a_process(_command(job, state), files, number, cwd)
    files.note_end(number, Ended(code, time.monotonic() - began))
    if fail_fast and code != 0 and code not in GOES_ON:
        files.ask_to_stop("SIGINT")


def _once_free(root: Path, files: SweepFiles) -> RunState:
    """Return the state of a run, after a little while if another process is at it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := state_of(root)).state == "in use" and time.monotonic() < deadline and not files.stop():
        time.sleep(POLL_SECONDS)
    return state


def _command(job: Job, state: RunState) -> list[str]:
    autolrs = python_module("autolrs_cli")
    if state.state == "to come":
        RunDirectory(Path(job.root)).forget_if_not_begun()
        return [*autolrs, "train", *job.arguments, f"run.dir={quoted(job.root)}", "dashboard=none"]
    return [*autolrs, "resume", job.root, "dashboard=none"]


def _in_a_process(command: list[str], files: SweepFiles, number: int, cwd: str) -> int:
    """Run `command` until it ends, passing on requests to stop; return its exit code.

    It gets a session of its own, so that a Ctrl-C typed at the sweep reaches it once, through us.
    """
    with files.log(number).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        sent, alone = 0, _orphaned()
        while True:
            try:
                return process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if alone():
                    files.ask_to_stop("SIGTERM")
                sent = _pass_on(files, process, sent)


def _pass_on(files: SweepFiles, process: subprocess.Popen[bytes], sent: int) -> int:
    """Send the process what was asked for, as often as it was asked for; return how often that was."""
    stop = files.stop()
    if stop is None or stop.times <= sent:
        return sent
    if stop.times >= KILLED_AT:
        process.kill()
    else:
        process.send_signal(signal.Signals[stop.signal])
    return stop.times


def _orphaned() -> Callable[[], bool]:
    """Return a function that tells whether the process that started this one has died since."""
    parent = os.getppid()
    return lambda: os.getppid() != parent
