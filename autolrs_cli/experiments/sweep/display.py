"""One display over all runs of a sweep: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autolrs_cli.experiments.sweep.progress import Progress, SweepProgress
from autolrs_cli.terminal.console import say
from autolrs_cli.terminal.formats import duration
from autolrs_cli.wording import counted

BAR_COLUMNS = 40


class SweepDisplay:
    """Show how the runs of a sweep go; a context manager around them.

    Args:
        progress: what is shown; updated by the caller.
        console: where to.
    """

    def __init__(self, progress: SweepProgress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
        self._phases = {run.job.root: run.phase for run in progress.runs}
        self._notice = ""

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, notice: str) -> None:
        """Say something above or below the runs; empty: nothing any more."""
        self._notice = notice
        if self._live is None and notice:
            self._print(notice)

    def show(self) -> None:
        """Bring the display up to date."""
        if self._live is not None:
            self._live.update(render(self._progress, self._console.size.height, self._notice), refresh=True)
            return
        for run in self._progress.runs:
            if self._phases[run.job.root] != run.phase:
                self._phases[run.job.root] = run.phase
                self._print(_line(self._progress, run))

    def _print(self, text: str) -> None:
        say(self._console, text)


def render(progress: SweepProgress, rows: int, notice: str = "") -> RenderableType:
    """Return the table of what runs, under the bar of the whole sweep.

    Args:
        progress: what is shown.
        rows: of the terminal; runs that have not begun are shown as far as there is room.
        notice: shown below.
    """
    running = [run for run in progress.runs if run.phase == "running"]
    waiting = [run for run in progress.runs if run.phase == "to come"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="ellipsis", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("what", overflow="ellipsis", no_wrap=True)
    room = max(1, rows - 5)
    for run in (running + waiting)[:room]:
        table.add_row(Text(run.job.label), _steps(run), activity(run))
    hidden = len(running) + len(waiting) - room
    if hidden > 0:
        table.add_row(f"and {hidden} more", "", "")
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(1.0, progress.share, width=BAR_COLUMNS), f"{progress.share:.0%}", _time_left(progress)
    )
    said = [Text(notice, style="yellow")] if notice else []
    return Group(Text(_counts(progress), style="bold"), bar, table, *said)


def activity(run: Progress) -> str:
    """Say in a few words what a run does."""
    record = run.record
    if run.note:
        return run.note
    if run.phase != "running":
        return "" if run.phase == "to come" else "ended"
    if not record:
        return "starting"
    if "trial" in record:
        return f"stage {record['stage'] + 1}: search, trial {record['trial'] + 1}"
    if "stage" in record:
        return f"stage {record['stage'] + 1}: training"
    return "training" if record["step"] else "first steps"


def _steps(run: Progress) -> str:
    return f"{run.steps:,}/{run.job.steps:,}" if run.steps else f"{run.job.steps:,}"


def _counts(progress: SweepProgress) -> str:
    phases = [run.phase for run in progress.runs]
    return (
        f"{counted(len(phases), 'run')}: {phases.count('ended')} ended, {phases.count('running')} running, "
        f"{phases.count('to come')} to come"
    )


def _time_left(progress: SweepProgress) -> str:
    left = progress.seconds_left()
    return "" if left is None else f"about {duration(left)} left"


def _line(progress: SweepProgress, run: Progress) -> str:
    if run.phase == "running":
        return f"started: {run.job.label} ({run.job.steps:,} steps)"
    if run.phase == "to come":
        return f"queued again: {run.job.label}"
    how = {None: "lost" if run.reason else "in use", 0: "done"}.get(
        run.code, f"ended with exit code {run.code}"
    )
    left = _time_left(progress)
    return f"{how}: {run.job.label}. {_counts(progress)}{f', {left}' if left else ''}"
