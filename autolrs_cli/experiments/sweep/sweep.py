"""The work of `autolrs sweep`: compose, recognise, launch, watch, and sum up."""

from __future__ import annotations

import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from autolrs_cli.compose.grid import GridPoint, compose_grid, launcher_overrides
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.experiments.launchers.contract import Launcher
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.run_status import RunState, set_aside
from autolrs_cli.experiments.sweep.jobs import make_jobs
from autolrs_cli.experiments.sweep.launch import launch, passing_on_signals
from autolrs_cli.experiments.sweep.other_version import of_other_versions
from autolrs_cli.experiments.sweep.progress import SweepProgress
from autolrs_cli.experiments.sweep.results import Ending, outcomes, print_ending
from autolrs_cli.experiments.sweep.stale import CurrentData
from autolrs_cli.overrides import key_in
from autolrs_cli.terminal.console import PatientConsole, say, show_error
from autolrs_cli.wording import counted


def main(
    overrides: Sequence[str],
    *,
    directory: Path,
    fail_fast: bool,
    rerun_failed: bool,
    compare: bool,
    rerun_stale: bool = False,
    detach: bool = False,
) -> int:
    """Run a grid of configurations; return the exit code.

    Args:
        overrides: Hydra's command line.
        directory: below it lie the run directories.
        fail_fast: stop everything when a run fails.
        rerun_failed: begin failed runs again.
        compare: end in the comparison, if runs of two arms or more are done.
        rerun_stale: begin runs again whose data have changed since.
        detach: leave once the runs are with the launcher.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        _require_no_run_dir(overrides)
        with console.status("checking settings and data ..."):
            grid, code = compose_grid(overrides, errors)
        if code or not grid:
            return code
        launcher = _launcher(grid, overrides)
        if detach and not launcher.can_be_left:
            raise ConfigError(
                "--detach leaves runs that go on by themselves: it needs launcher=slurm. Leave it out."
            )
        jobs = make_jobs([point.composed for point in grid], directory)
        if len(jobs) < len(grid):
            say(
                console,
                f"{len(grid) - len(jobs)} of {len(grid)} are the same experiment as another: run once.",
            )
        data = CurrentData(console)
        data.add(grid)
        again = ["failed"] * rerun_failed + ["stale"] * rerun_stale
        ending = run_jobs(jobs, launcher, directory, fail_fast, again, data, console, detach=detach)
    except AutoLRSError as error:
        return show_error(errors, error)
    if ending.left:
        say(
            console,
            "the runs go on without this command; the same command watches them, and Ctrl-C then stops them",
        )
        return ExitCode.DONE if ending.signal is None else ExitCode.of_signal(signal.Signals[ending.signal])
    return print_ending(ending, directory, console, compare=compare)


def _launcher(grid: Sequence[GridPoint], overrides: Sequence[str]) -> Launcher:
    given = grid[0].launcher
    if any(point.launcher != given for point in grid):
        raise ConfigError(
            "The runs of a sweep have one launcher, but got several. Give each of its keys one value."
        )
    return launcher_for(given, launcher_overrides(overrides))


def _require_no_run_dir(overrides: Sequence[str]) -> None:
    given = next((each for each in overrides if key_in(each) == "run.dir"), None)
    if given is not None:
        raise ConfigError(
            f"A sweep names the directories of its runs itself, to find them again, but got {given}. Give the folder "
            "for all of them with --dir."
        )


def run_jobs(
    jobs: Sequence[Job],
    launcher: Launcher,
    directory: Path,
    fail_fast: bool,
    again: Collection[str],
    data: CurrentData,
    console: Console,
    *,
    detach: bool = False,
) -> Ending:
    """Bring jobs to their end: skip those that are done, go on with those that were stopped, show how they go.

    Args:
        jobs: all of the sweep.
        launcher: where they are run.
        directory: of the sweep.
        fail_fast: stop everything when a run fails.
        again: states whose runs are set aside and begun again: failed, stale.
        data: those of the jobs, as they are now.
        console: where it is shown.
        detach: leave them to the launcher once it has them.

    Raises:
        ConfigError: if nothing could be started.
    """
    states = data.states(jobs)
    places = {Path(job.root).resolve() for job in jobs}
    earlier = [each for each in launcher.under_way(directory) if places & each.open_places()]
    with_launcher = {place for files in earlier for place in files.open_places()}
    todo = [
        job
        for job, state in zip(jobs, states, strict=True)
        if _is_to_run(state, again) and Path(job.root).resolve() not in with_launcher
    ]
    _announce(states, len(todo), directory, console)
    if earlier:
        say(console, f"with the launcher from earlier commands: {counted(len(earlier), 'array')}")
    others = of_other_versions(directory, jobs)
    if others:
        say(console, f"warning: {others}", "yellow")
    if not todo and not earlier:
        return Ending(outcomes(jobs, states, None), None, None)
    # What another process is just leaving comes last.
    in_use = {job.root for job, state in zip(jobs, states, strict=True) if state.state == "in use"}
    todo.sort(key=lambda job: job.root in in_use)
    states = [
        _out_of_the_way(job, state, again) if job in todo else state
        for job, state in zip(jobs, states, strict=True)
    ]
    files = _files(directory, todo, fail_fast=fail_fast) if todo else None
    commands = [*earlier, *([files] if files is not None else [])]
    progress = SweepProgress(jobs, states, commands)
    with passing_on_signals(commands, leaves=launcher.can_be_left) as asked:
        try:
            launch(launcher, files, earlier, progress, console, asked, detach=detach)
        except ConfigError:
            if files is not None and not files.was_begun:
                files.discard()
            raise
    return Ending(outcomes(jobs, states, progress), commands[-1], asked.signal, left=asked.left or detach)


def _files(directory: Path, todo: Sequence[Job], *, fail_fast: bool) -> SweepFiles:
    try:
        return SweepFiles.create(directory, todo, fail_fast=fail_fast)
    except OSError as error:
        raise ConfigError(
            f"The folder of a sweep must be writable, but {directory} is not: {error.strerror}. Set --dir."
        ) from error


def _is_to_run(state: RunState, again: Collection[str]) -> bool:
    return state.state in ("to come", "interrupted", "in use", *again)


def _out_of_the_way(job: Job, state: RunState, again: Collection[str]) -> RunState:
    """Set a run aside that is begun again; return what has become of it then."""
    if state.state not in again or state.state not in ("failed", "stale"):
        return state
    set_aside(Path(job.root), state.state)
    return RunState("to come")


def _announce(states: Sequence[RunState], todo: int, directory: Path, console: Console) -> None:
    names = [state.state for state in states]
    found = [f"{names.count(name)} {name}" for name in dict.fromkeys(names)]
    say(console, f"{counted(len(states), 'run')} in {directory}: {', '.join(found)}; {todo} to run now.")
