"""How the preparation of data goes: bars in a terminal, a line per piece of work elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from autolrs_cli.dashboard.outlet import Outlet
from autolrs_cli.dashboard.painter import ERASE_LINE_END
from autolrs_cli.terminal.console import say


@contextmanager
def announced(text: str, console: Console) -> Iterator[None]:
    """Show one line in a terminal while something is done; it never waits for the terminal.

    Args:
        text: what is being done.
        console: where.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield
        return
    outlet = Outlet(console.file)
    outlet.write(text)
    try:
        yield
    finally:
        outlet.write(f"\r{ERASE_LINE_END}")
        outlet.close()


class PreparationProgress:
    """A `Report` (see contracts) that shows itself; a context manager around the preparation.

    Nothing is shown before the first report, so data that is ready costs no line.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` of `what` is done."""
        if what not in self._tasks:
            if not self._tasks:
                self._progress.start()
            if self._progress.disable:
                say(self._console, f"{what} ...")
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def __enter__(self) -> PreparationProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._progress.stop()
