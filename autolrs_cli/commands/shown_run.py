"""A run with all that a person sees of it: the live view, trackers, the closing card."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.dashboard.state import State
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.reports.closing_card import closing_card
from autolrs_cli.terminal.console import say
from autolrs_cli.trackers import Trackers

if TYPE_CHECKING:
    from autolrs_cli.runner.plan import Plan
    from autolrs_cli.runner.resume_point import ResumePoint
    from autolrs_cli.training.world import World


def run_shown(
    plan: Plan,
    config: dict[str, Any],
    directory: RunDirectory,
    console: Console,
    *,
    started: float,
    warnings: Sequence[str] = (),
    resume: ResumePoint | None = None,
    seen: State | None = None,
    next_command: str | None = None,
    world: World | None = None,
) -> ExitCode:
    """Carry out a run and show it; return the exit code.

    Args:
        plan: from `check`.
        config: the resolved configuration, as recorded.
        directory: opened and locked.
        console: where it is shown.
        started: `time.perf_counter()` when the person pressed return.
        warnings: said in the journal before training.
        resume: where to go on; None: at the beginning.
        seen: what the view shows at first, of a run that goes on.
        next_command: named in the closing card.
        world: the processes that train together; None: this one is alone.
    """
    from autolrs_cli.runner.execute import execute

    settings = plan.settings
    with (
        Screen(settings.dashboard.name, console, seen or State(), directory.root) as screen,
        Trackers(settings.tracker, directory.root, config, screen.say) as trackers,
    ):
        listeners = (screen.show, trackers.show)
        result = execute(
            plan,
            config,
            directory,
            started=started,
            listeners=listeners,
            warnings=warnings,
            resume=resume,
            world=world,
        )
        trackers.conclude(result.summary)
        screen.conclude(closing_card(result.summary, result.directory, next_command))
    return result.exit_code


@contextmanager
def leaving_at_once(directory: RunDirectory, errors: Console) -> Iterator[None]:
    """Say where the run lies when a second Ctrl-C ends it.

    Raises:
        KeyboardInterrupt: that one.
    """
    try:
        yield
    except KeyboardInterrupt:
        ignore_further_interrupts()
        say(errors, f"interrupted at once; what was recorded until then lies in {directory.root}")
        raise


def ignore_further_interrupts() -> None:
    """Let the process, which is leaving, do so in peace."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
