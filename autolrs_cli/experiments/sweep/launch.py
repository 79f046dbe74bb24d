"""Launching the jobs of a sweep, watching them, and passing on requests to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.contract import Launched, Launcher
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import KILLED_AT
from autolrs_cli.experiments.sweep.display import SweepDisplay
from autolrs_cli.experiments.sweep.progress import SweepProgress
from autolrs_cli.signals import LIKE_TERM, handling
from autolrs_cli.terminal.console import show_problem

FRAME_SECONDS = 0.25


class Asked:
    """The signals that came and ask to stop.

    Args:
        commands: whose runs are asked to stop in turn.
        leaves: whether only SIGINT does that, and another signal ends no more than the watching.
    """

    def __init__(self, commands: Sequence[SweepFiles], *, leaves: bool) -> None:
        self._commands = commands
        self._leaves = leaves
        self._names: list[str] = []
        self.left = False
        """Whether the runs go on without this command."""

    @property
    def times(self) -> int:
        """How often a stop was asked for."""
        return len(self._names)

    @property
    def signal(self) -> str | None:
        """The first of them; None: none came."""
        return self._names[0] if self._names else None

    def hear(self, number: int, _: FrameType | None) -> None:
        """Take a signal as a request."""
        if self._names and number in LIKE_TERM:  # nobody's impatience: these come again by themselves
            return
        self._names.append(signal.Signals(number).name)
        self.left = self.left or (self._leaves and number != signal.SIGINT and len(self._names) == 1)
        if not self.left:
            for files in self._commands:
                files.ask_to_stop(self._names[0], len(self._names))


@contextmanager
def passing_on_signals(commands: Sequence[SweepFiles], *, leaves: bool) -> Iterator[Asked]:
    """Take the signals that ask to stop as requests to stop all runs; yield what came."""
    asked = Asked(commands, leaves=leaves)
    with handling(asked.hear):
        yield asked


def launch(
    launcher: Launcher,
    files: SweepFiles | None,
    earlier: Sequence[SweepFiles],
    progress: SweepProgress,
    console: Console,
    asked: Asked,
    *,
    detach: bool = False,
) -> None:
    """Run the jobs of this command, if it has any, and show how they and those of earlier ones go.

    Raises:
        ConfigError: if the launcher failed before it started any.
    """
    commands = [*earlier, *([files] if files is not None else [])]
    launched = launcher.start(files, earlier)
    if detach:
        return
    try:
        with SweepDisplay(progress, console) as display:
            _watch(launched, progress, display, asked)
    except BaseException:
        if not launcher.can_be_left:
            for each in commands:
                each.ask_to_stop(signal.SIGTERM.name)
        raise
    problem = None if asked.times else launched.problem()
    if problem is not None:
        if all(run.phase == "to come" for run in progress.runs if run.place is not None):
            raise ConfigError(problem)
        show_problem(console, problem)


def _watch(launched: Launched, progress: SweepProgress, display: SweepDisplay, asked: Asked) -> None:
    """Show how the jobs go until all have ended, or the watching is to end."""
    said, noted, goes_on = 0, "", True
    while goes_on and not asked.left:
        time.sleep(FRAME_SECONDS)
        if asked.times > said and not asked.left:
            said = asked.times
            launched.stop(said)
            display.say(_answer(said))
        goes_on = launched.goes_on()
        notes = launched.notes()
        if notes.get("", "") != noted:
            noted = notes.get("", "")
            display.say(noted)
        progress.update(notes)
        display.show()


def _answer(asked: int) -> str:
    if asked == 1:
        return "stopping: the running ones write a checkpoint (again: at once)"
    return "stopping at once" if asked < KILLED_AT else "killing what still runs"
