"""Show watched runs: one frame, or frame after frame until they end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from rich.console import Console
from rich.text import Text

from autolrs_cli.dashboard import plain, status_text
from autolrs_cli.dashboard.head import line
from autolrs_cli.dashboard.keys import Keys, pressed_keys
from autolrs_cli.dashboard.navigation import Navigation
from autolrs_cli.dashboard.outlet import Outlet
from autolrs_cli.dashboard.overview import overview
from autolrs_cli.dashboard.painter import Painter
from autolrs_cli.dashboard.render import ascii_only, frame
from autolrs_cli.dashboard.state import State, reduce
from autolrs_cli.dashboard.watched import WatchedRun

LOOK_SECONDS = 1.0
BACK_BY_KEY = "Esc or q: back to the table"
# Rows of a frame that goes to a file or a pipe, which has no height.
PIPE_SIZE = 100, 40


def _pipe_size() -> tuple[int, int]:
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else PIPE_SIZE[0], PIPE_SIZE[1]


class Viewer:
    """Look at runs.

    Args:
        runs: at least one; several are shown as a table.
        console: where to.
        find_more: returns runs that came up since, for a folder that fills.
        single: show the only run itself, not a table.
    """

    def __init__(
        self,
        runs: Sequence[WatchedRun],
        console: Console,
        find_more: Callable[[Sequence[WatchedRun]], list[WatchedRun]] | None = None,
        *,
        single: bool,
    ) -> None:
        self._runs = list(runs)
        self._console = console
        self._find_more = find_more
        self._single = single
        self._unicode = console.encoding.lower().startswith("utf")
        self._painter = Painter(console)
        self._navigation: Navigation | None = None
        """What keys do; None: none are read."""

    def show(self) -> None:
        """Print the present state once."""
        for run in self._runs:
            run.refresh()
        size = self._console.size if self._console.is_terminal else _pipe_size()
        for text in self._painter.rendered(self._lines(size), size[0]):
            self._console.file.write(f"{text.rstrip()}\n")
        self._console.file.flush()

    def follow(self) -> None:
        """Show what happens until nobody works on the runs any more; a table, until the person leaves.

        In a terminal, keys open a run of the table.
        """
        capable = self._console.is_terminal and not self._console.is_dumb_terminal
        outlet = Outlet(self._console.file)
        try:
            with pressed_keys() if capable and not self._single else nullcontext() as keys:
                self._navigation = Navigation() if keys else None
                self._go_on(outlet, self._paint if capable else self._write_lines, keys)
            while not outlet.push() and not outlet.out_of_patience:
                time.sleep(0.02)
        finally:
            outlet.close()

    def _go_on(self, outlet: Outlet, look: Callable[[Outlet], bool], keys: Keys | None) -> None:
        while not outlet.gone:
            ended = look(outlet)
            if ended and self._single:
                return
            if keys is None:
                time.sleep(LOOK_SECONDS)
            elif self._obey(keys, outlet):
                return

    def _obey(self, keys: Keys, outlet: Outlet) -> bool:
        """Take in keys until it is time to look at the runs again; return whether the person leaves."""
        assert self._navigation is not None
        until = time.monotonic() + LOOK_SECONDS
        while (seconds := until - time.monotonic()) > 0 and not self._navigation.left:
            for key in keys.wait(seconds):
                self._navigation.press(key, len(self._runs))
            self._draw(outlet)
        return self._navigation.left

    def _refresh(self) -> bool:
        """Bring everything up to date; return whether nobody works on any run."""
        if self._find_more is not None:
            self._runs += self._find_more(self._runs)
        for run in self._runs:
            run.refresh()
        return not any(run.worked_on for run in self._runs)

    def _paint(self, outlet: Outlet) -> bool:
        ended = self._refresh()
        self._draw(outlet)
        return ended

    def _draw(self, outlet: Outlet) -> None:
        if outlet.push():
            size = self._console.size
            outlet.write(self._painter.paint(self._lines(size), size))

    def _write_lines(self, outlet: Outlet) -> bool:
        """For pipes: the lines of one run as `dashboard=plain` gives them, or a table whenever a status changes."""
        if not self._single:
            before = [run.status for run in self._runs]
            ended = self._refresh()
            if before != [run.status for run in self._runs]:
                outlet.write("".join(f"{each.plain.rstrip()}\n" for each in self._lines(_pipe_size())))
            return ended
        run = self._runs[0]
        state: State = run.state
        for record in run.refresh():
            state = reduce(state, record)
            outlet.write("".join(f"{each}\n" for each in plain.lines(state, record)))
        if not run.worked_on and run.state.abandoned:
            outlet.write("".join(f"{each.plain}\n" for each in self._epilogue()))
        return not run.worked_on

    def _epilogue(self) -> list[Text]:
        state = self._runs[0].state
        command = status_text.next_command(state)
        return [Text(status_text.activity(state)), *([Text(f"to go on: {command}")] if command else [])]

    def _lines(self, size: tuple[int, int]) -> list[Text]:
        keys = self._navigation
        if self._single:
            return self._one(self._runs[0], size)
        if keys is not None and keys.opened:
            width, height = size
            return [*self._one(self._runs[keys.marked], (width, height - 1)), line(BACK_BY_KEY, width, "dim")]
        marked = None if keys is None else keys.marked
        lines = overview(self._runs, *size, unicode=self._unicode, marked=marked)
        return lines if self._unicode else [ascii_only(each) for each in lines]

    def _one(self, run: WatchedRun, size: tuple[int, int]) -> list[Text]:
        if not run.state.description:
            return [line(_NOT_BEGUN[run.worked_on], size[0])]
        return frame(run.state, *size, unicode=self._unicode)


_NOT_BEGUN = {
    True: "starting: loading libraries and data",
    False: "nothing was trained here: its journal has no event, and no process works on it",
}
