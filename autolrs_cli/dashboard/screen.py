"""The thread that draws. Training only puts records on a queue, so a blocked terminal never blocks it."""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.live import Live

from autolrs_cli.dashboard import plain, words
from autolrs_cli.dashboard.render import render
from autolrs_cli.dashboard.state import Record, State, reduce

Mode = Literal["live", "plain", "none"]
FRAME_SECONDS = 0.5
# A terminal that takes nothing any more (Ctrl-S, a dead pipe) must not hold up the exit.
EXIT_SECONDS = 2.0


class Screen:
    """Show a run's records as they come; a context manager around the run.

    Args:
        mode: "live" falls back to "plain" where the console is no terminal.
        console: where to draw.
        state: of a run that goes on; what it has shown before is not shown again.
    """

    def __init__(self, mode: Mode, console: Console, state: State | None = None) -> None:
        capable = console.is_terminal and not console.is_dumb_terminal
        self._mode = "plain" if mode == "live" and not capable else mode
        self._console = console
        self._state = state or State()
        self._records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._draw, name="autolrs-screen", daemon=True)

    def show(self, record: Record) -> None:
        """Take a record; returns at once."""
        if self._mode != "none":
            self._records.put(record)

    def __enter__(self) -> Screen:
        if self._mode != "none":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mode != "none":
            self._records.put(None)
            self._thread.join(EXIT_SECONDS)

    def _draw(self) -> None:
        try:
            if self._mode == "live":
                self._draw_live()
            else:
                self._draw_plain()
        except (OSError, ValueError):
            return  # the terminal is gone; the journal has everything

    def _draw_plain(self) -> None:
        state = self._state
        while (record := self._records.get()) is not None:
            state = reduce(state, record)
            for line in plain.lines(state, record):
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _draw_live(self) -> None:
        state, ended = self._state, False
        with Live(console=self._console, auto_refresh=False, redirect_stdout=False) as live:
            while not ended:
                state, ended, first = self._drain(state)
                if first is not None:
                    self._console.print(words.headline(first), style="bold", highlight=False, markup=False)
                width, height = self._console.size
                live.update(render(state, width, height), refresh=True)

    def _drain(self, state: State) -> tuple[State, bool, Record | None]:
        """Take in everything that came, waiting for the first record; then let a frame's time pass."""
        first = None
        deadline = time.monotonic() + FRAME_SECONDS
        record = self._records.get()
        while True:
            if record is None:
                return state, True, first
            state = reduce(state, record)
            if record["event"] == "run_started":
                first = record["description"]
            wait = deadline - time.monotonic()
            try:
                record = self._records.get(timeout=wait) if wait > 0 else self._records.get_nowait()
            except queue.Empty:
                return state, False, first
