"""The work of `autolrs sweep`: compose, recognise, launch, watch, and sum up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from autolrs_cli.compose.grid import compose_grid
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.experiments.sweep.jobs import Job, make_jobs
from autolrs_cli.experiments.sweep.launch import launch, passing_on_signals
from autolrs_cli.experiments.sweep.mailbox import SweepFiles
from autolrs_cli.experiments.sweep.other_version import of_other_versions
from autolrs_cli.experiments.sweep.progress import SweepProgress
from autolrs_cli.experiments.sweep.results import Ending, outcomes, print_ending
from autolrs_cli.experiments.sweep.run_status import RunState, set_aside
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
) -> int:
    """Run a grid of configurations; return the exit code.

    Args:
        overrides: Hydra's command line.
        directory: below it lie the run directories.
        fail_fast: stop everything when a run fails.
        rerun_failed: begin failed runs again.
        compare: end in the comparison, if runs of two arms or more are done.
        rerun_stale: begin runs again whose data have changed since.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        _require_no_run_dir(overrides)
        with console.status("checking settings and data ..."):
            grid, code = compose_grid(overrides, errors)
        if code or not grid:
            return code
        jobs = make_jobs([point.composed for point in grid], directory)
        if len(jobs) < len(grid):
            say(
                console,
                f"{len(grid) - len(jobs)} of {len(grid)} are the same experiment as another: run once.",
            )
        data = CurrentData(console)
        data.add(grid)
        again = ["failed"] * rerun_failed + ["stale"] * rerun_stale
        ending = run_jobs(jobs, overrides, directory, fail_fast, again, data, console)
    except AutoLRSError as error:
        return show_error(errors, error)
    return print_ending(ending, directory, console, compare=compare)


def _require_no_run_dir(overrides: Sequence[str]) -> None:
    given = next((each for each in overrides if key_in(each) == "run.dir"), None)
    if given is not None:
        raise ConfigError(
            f"A sweep names the directories of its runs itself, to find them again, but got {given}. Give the folder "
            "for all of them with --dir."
        )


def run_jobs(
    jobs: Sequence[Job],
    overrides: Sequence[str],
    directory: Path,
    fail_fast: bool,
    again: Collection[str],
    data: CurrentData,
    console: Console,
) -> Ending:
    """Bring jobs to their end: skip those that are done, go on with those that were stopped, show how they go.

    Args:
        jobs: all of the sweep.
        overrides: Hydra's command line, of which its own settings (the launcher's) are used.
        directory: of the sweep.
        fail_fast: stop everything when a run fails.
        again: states whose runs are set aside and begun again: failed, stale.
        data: those of the jobs, as they are now.
        console: where it is shown.

    Raises:
        ConfigError: if nothing could be started.
    """
    states = data.states(jobs)
    todo = [job for job, state in zip(jobs, states, strict=True) if _is_to_run(state, again)]
    _announce(states, len(todo), directory, console)
    others = of_other_versions(directory, jobs)
    if others:
        say(console, f"warning: {others}", "yellow")
    if not todo:
        return Ending(outcomes(jobs, states, None), None, None)
    # What another process is just leaving comes last.
    in_use = {job.root for job, state in zip(jobs, states, strict=True) if state.state == "in use"}
    todo.sort(key=lambda job: job.root in in_use)
    states = [_out_of_the_way(job, state, again) for job, state in zip(jobs, states, strict=True)]
    try:
        files = SweepFiles.create(directory, todo, fail_fast=fail_fast)
    except OSError as error:
        raise ConfigError(
            f"The folder of a sweep must be writable, but {directory} is not: {error.strerror}. Set --dir."
        ) from error
    progress = SweepProgress(jobs, states, files)
    with passing_on_signals(files) as asked:
        launch(todo, overrides, files, progress, console, asked)
    return Ending(outcomes(jobs, states, progress), files, asked[0] if asked else None)


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
