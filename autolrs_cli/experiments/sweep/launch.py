"""Launching the jobs of a sweep, watching them, and passing on requests to stop."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console

from autolrs_cli.compose.grid import launcher_overrides
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.own_process import environment, python_module
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.experiments.sweep.display import SweepDisplay
from autolrs_cli.experiments.sweep.job_process import KEY, KILLED_AT
from autolrs_cli.experiments.sweep.jobs import Job
from autolrs_cli.experiments.sweep.mailbox import SweepFiles
from autolrs_cli.experiments.sweep.progress import SweepProgress
from autolrs_cli.signals import LIKE_TERM, handling
from autolrs_cli.terminal.console import show_problem
from autolrs_cli.wording import quoted

FRAME_SECONDS = 0.25


@contextmanager
def passing_on_signals(files: SweepFiles) -> Iterator[list[str]]:
    """Take the signals that ask to stop as requests to stop all runs; yield the names of those that came."""
    asked: list[str] = []

    def ask(number: int, _: FrameType | None) -> None:
        if asked and number in LIKE_TERM:  # nobody's impatience: these come again by themselves
            return
        asked.append(signal.Signals(number).name)
        files.ask_to_stop(asked[0], len(asked))

    with handling(ask):
        yield asked


def launch(
    todo: Sequence[Job],
    overrides: Sequence[str],
    files: SweepFiles,
    progress: SweepProgress,
    console: Console,
    asked: Sequence[str],
) -> None:
    """Run the jobs on Hydra's launcher, in a process of its own, and show how they go.

    Raises:
        ConfigError: if the launcher failed before it started any.
    """
    command = python_module("autolrs_cli.experiments.sweep.launcher_process", str(files.folder))
    with files.launcher_log.open("wb") as log, SweepDisplay(progress, console) as display:
        process = subprocess.Popen(
            [*command, *_launcher_arguments(todo, overrides, files)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _watch(process, progress, display, asked)
    if process.returncode and not asked:
        problem = _why(files, process.returncode)
        if all(run.phase == "to come" for run in progress.runs if run.number is not None):
            raise ConfigError(problem)
        show_problem(console, problem)


def _watch(
    process: subprocess.Popen[bytes], progress: SweepProgress, display: SweepDisplay, asked: Sequence[str]
) -> None:
    """Show how the jobs go until the launcher has ended."""
    said, running = 0, True
    while running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(FRAME_SECONDS)
            running = False
        if len(asked) > said:
            said = len(asked)
            display.say(_answer(said))
        if running and said > KILLED_AT:  # the jobs have killed theirs by then
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        progress.update()
        display.show()


def _answer(asked: int) -> str:
    if asked == 1:
        return "stopping: the running ones write a checkpoint (again: at once)"
    return "stopping at once" if asked < KILLED_AT else "killing what still runs"


def _launcher_arguments(todo: Sequence[Job], overrides: Sequence[str], files: SweepFiles) -> list[str]:
    """Return Hydra's command line for the launcher, in which the numbers of the jobs are the only several values.

    The rest is the first job's, so that what its configuration says of launchers holds.
    """
    arguments = todo[0].arguments
    config_dir = list(arguments[: 2 * (arguments[0] == "--config-dir")])
    return [
        *arguments[len(config_dir) :],
        f"hydra.sweep.dir={quoted(str(files.folder / 'launcher'))}",
        *launcher_overrides(overrides),
        f"+{KEY}.folder={quoted(str(files.folder))}",
        f"+{KEY}.job={','.join(str(number) for number in range(len(todo)))}",
        *config_dir,
        "-m",
    ]


def _why(files: SweepFiles, code: int) -> str:
    reason = last_words(files.launcher_log) or f"exit code {code}"
    return (
        f"Hydra's launcher must run the jobs, but it failed: {reason} What it printed: {files.launcher_log}"
    )
