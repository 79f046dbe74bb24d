"""`autolrs resume`: go on exactly where a run stopped."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autolrs_cli.commands.among_others import among_others
from autolrs_cli.commands.shown_run import leaving_at_once, run_shown
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.dashboard.state import State, reduce
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.records.journal import read_verified
from autolrs_cli.records.run_directory import PROCESSES, RunDirectory
from autolrs_cli.terminal.console import PatientConsole, say, show_error
from autolrs_cli.trackers import Trackers

if TYPE_CHECKING:
    from autolrs_cli.ranks.meeting import Meeting


def main(run_dir: Path, changes: Sequence[str], allowed: Sequence[str], *, started: float) -> int:
    """Go on with a run; return its exit code.

    Args:
        run_dir: its directory.
        changes: KEY=VALUE of settings that cannot change results.
        allowed: such keys that may differ between config.yaml and what the run began with.
        started: `time.perf_counter()` when the process began.
    """
    return among_others(lambda meeting: _main(run_dir, changes, allowed, started, meeting))


def _main(
    run_dir: Path, changes: Sequence[str], allowed: Sequence[str], started: float, meeting: Meeting | None
) -> int:
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    directory = RunDirectory(run_dir)
    try:
        with leaving_at_once(directory, errors):
            return _resume(directory, changes, allowed, started, console, meeting)
    except AutoLRSError as error:
        return show_error(errors, error)


def _resume(
    directory: RunDirectory,
    changes: Sequence[str],
    allowed: Sequence[str],
    started: float,
    console: PatientConsole,
    meeting: Meeting | None,
) -> int:
    from autolrs_cli.ranks.gathering import gathered
    from autolrs_cli.runner.after_the_end import require_nothing_new
    from autolrs_cli.runner.initial_weights import require_same
    from autolrs_cli.runner.resume_checks import first_record, is_done, reopen
    from autolrs_cli.runner.resume_point import find_resume_point

    directory.require_run()
    if is_done(directory):
        require_nothing_new(directory, changes)
        text = f"{directory.root} is done; there is nothing to resume."
        say(console, text)
        return ExitCode.DONE
    if meeting is not None:
        changes = [*changes, f"{PROCESSES}={meeting.place.size}"]
    with directory.locked():
        with PreparationProgress(console) as progress:
            plan, config, changed = reopen(directory, changes, allowed, progress)
        Trackers.require(plan.settings.tracker)
        point = find_resume_point(directory, changed)
        if point is None or point.checkpoint is None:
            began = first_record(directory) if point else None
            require_same(began, plan.settings.run.init_from)
        state = State() if point is None else _seen(directory, point.journal_bytes)
        begins = point is None or point.checkpoint is None
        with gathered(plan, meeting) as processes, processes.training(begins=begins) as (plan, world):
            return run_shown(
                plan,
                config,
                directory,
                console,
                started=started,
                warnings=point.warnings if point else (),
                resume=point,
                seen=state,
                world=world,
            )


def _seen(directory: RunDirectory, end: int) -> State:
    """Return what a screen would show of the journal up to `end`."""
    try:
        return functools.reduce(reduce, read_verified(directory.journal, end), State())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"A run's journal must be whole, but {directory.journal} is not: {error} Restore it, or begin a new run."
        ) from error
