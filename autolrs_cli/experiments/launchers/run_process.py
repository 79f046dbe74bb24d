"""One run, where a launcher put it: `autolrs train` or `resume` as a process of its own.

A process of its own, since a crash (a segmentation fault, memory that runs out) must not take the other runs along,
and since threads and deterministic kernels are settings of a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import Ended, StopMessage, SweepFiles
from autolrs_cli.experiments.own_process import python_module, watched_environment
from autolrs_cli.experiments.run_status import GOES_ON, RunState, state_of
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.signals import STOPPING
from autolrs_cli.wording import quoted

POLL_SECONDS = 0.1
# A sweep that was killed a moment ago leaves runs that are still writing their checkpoint.
PATIENCE_SECONDS = 20.0
KILLED_AT = 3
TERMINATE = StopMessage(signal.SIGTERM.name, 1)
_STOPPED = (ExitCode.SIGINT, ExitCode.SIGTERM, *(-number for number in STOPPING))


@dataclass(frozen=True)
class Surroundings:
    """What a launcher has to say of the place where it runs a job."""

    taken_away: Callable[[], bool] = lambda: False
    """Whether the run must leave this place, although nobody has asked the experiment to stop."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For the run, beside this process's own."""
    poll_seconds: float = POLL_SECONDS
    """Between two looks at the request to stop, which may lie on a disk that many machines share."""
    patience_seconds: float = PATIENCE_SECONDS
    """How long to wait for another process that still works on the run."""


def carry_out(files: SweepFiles, number: int, here: Surroundings) -> Ended | None:
    """Make one run, or go on with it, until its process ends.

    Returns:
        How it ended, not yet written down; None: it was asked to stop before it began.
    """
    plan = files.plan()
    job, began = plan.jobs[number], time.monotonic()
    orders = _orders(files, here)
    state = _once_free(Path(plan.cwd, job.root), orders, here)
    if state.state == "done":
        return Ended(ExitCode.DONE, 0.0)
    if orders() is not None:
        return None
    if state.state == "in use":
        return Ended(None, 0.0)
    files.forget_end(number)
    code = _in_a_process(_command(job, state), files.log(number), plan.cwd, orders, here)
    return Ended(code, time.monotonic() - began)


def note_end(files: SweepFiles, number: int, ended: Ended | None) -> None:
    """Write down for good how a run ended, and ask the others to stop if that was asked for; None: it did not begin."""
    if ended is None:
        return
    files.note_end(number, ended)
    if files.plan().fail_fast and ended.code not in (None, ExitCode.DONE, *GOES_ON):
        files.ask_to_stop(signal.SIGINT.name)


def was_taken_away(files: SweepFiles, ended: Ended | None) -> bool:
    """Tell whether a run was stopped, or kept from beginning, by something else than a request to the experiment."""
    return files.stop() is None and (ended is None or ended.code in _STOPPED)


def orphaned() -> Callable[[], bool]:
    """Return a function that tells whether the process that started this one has died since."""
    parent = os.getppid()
    return lambda: os.getppid() != parent


def _orders(files: SweepFiles, here: Surroundings) -> Callable[[], StopMessage | None]:
    return lambda: files.stop() or (TERMINATE if here.taken_away() else None)


def _once_free(root: Path, orders: Callable[[], StopMessage | None], here: Surroundings) -> RunState:
    """Return the state of a run, after a little while if another process is at it."""
    deadline = time.monotonic() + here.patience_seconds
    while (state := state_of(root)).state == "in use" and time.monotonic() < deadline and orders() is None:
        time.sleep(here.poll_seconds)
    return state


def _command(job: Job, state: RunState) -> list[str]:
    autolrs = python_module("autolrs_cli")
    if state.state == "to come":
        RunDirectory(Path(job.root)).forget_if_not_begun()
        return [*autolrs, "train", *job.arguments, f"run.dir={quoted(job.root)}", "dashboard=none"]
    return [*autolrs, "resume", job.root, "dashboard=none"]


def _in_a_process(
    command: list[str], log: Path, cwd: str, orders: Callable[[], StopMessage | None], here: Surroundings
) -> int:
    """Run `command` until it ends, passing on requests to stop; return its exit code.

    It gets a session of its own, so that a Ctrl-C typed at the sweep reaches it once, through us; and a pipe, by whose
    end it knows that we are gone.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**watched_environment(), **here.environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    sent = 0
    with process:
        while True:
            try:
                return process.wait(here.poll_seconds)
            except subprocess.TimeoutExpired:
                sent = _pass_on(orders(), process, sent)


def _pass_on(stop: StopMessage | None, process: subprocess.Popen[bytes], sent: int) -> int:
    """Send the process what was asked for, as often as it was asked for; return how often that was."""
    if stop is None or stop.times <= sent:
        return sent
    if stop.times >= KILLED_AT:
        process.kill()
    else:
        process.send_signal(signal.Signals[stop.signal])
    return stop.times
