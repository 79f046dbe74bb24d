"""The thread that draws. Training only puts records on a queue, so a blocked terminal never blocks it."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, TextIO

from rich.console import Console, RenderableType

from autolrs_cli.dashboard import chart, memory, plain, status_text
from autolrs_cli.dashboard.outlet import Outlet
from autolrs_cli.dashboard.painter import Painter
from autolrs_cli.dashboard.redirect import Aside
from autolrs_cli.dashboard.render import frame
from autolrs_cli.dashboard.run_state import Record, State, evolve
from autolrs_cli.dashboard.state import reduce

Mode = Literal["live", "plain", "none"]
FRAME_SECONDS, PLAIN_SECONDS = 0.5, 0.2
# Frames come so seldom that drawing takes no more than this share of one core's time.
MOST_OF_TIME = 0.005
SLOWEST_SECONDS = 5.0
MEMORY_SECONDS = 3.0
# What is also said above the live view, where it stays in the scroll-back.
SAID_ABOVE = ("warned", "rolled_back", "resumed", "target_reached")


class Screen:
    """Show a run's records as they come; a context manager around the run.

    While the live view is up, what is written to sys.stdout and sys.stderr appears above it.

    Args:
        mode: "live" falls back to "plain" where the console is not a terminal.
        console: where to draw.
        state: of a run that goes on; what it has shown before is not shown again.
        directory: the run directory.
    """

    def __init__(
        self, mode: Mode, console: Console, state: State | None = None, directory: Path | None = None
    ) -> None:
        capable = console.is_terminal and not console.is_dumb_terminal
        self._mode = "plain" if mode == "live" and not capable else mode
        self._console = console
        self._unicode = console.encoding.lower().startswith("utf")
        self._state = evolve(state or State(), directory=str(directory) if directory else None)
        self._queue: queue.SimpleQueue[Record | str] = queue.SimpleQueue()
        self._painter = Painter(console)
        self._closing: RenderableType | None = None
        self._stop = threading.Event()
        self._cost = 0.0
        self._sampled_at = -MEMORY_SECONDS
        self._streams: tuple[TextIO, TextIO] | None = None
        self._thread = threading.Thread(target=self._run, name="autolrs-screen", daemon=True)

    def show(self, record: Record) -> None:
        """Take a record; returns at once."""
        if self._mode != "none":
            self._queue.put(record)

    def say(self, text: str) -> None:
        """Take whole lines to print, above the live view; returns at once."""
        self._queue.put(text)

    def conclude(self, content: RenderableType) -> None:
        """Take what is printed last, below everything else."""
        self._closing = content

    def __enter__(self) -> Screen:
        self._outlet = Outlet(self._console.file)
        if self._mode == "live":
            self._streams = (sys.stdout, sys.stderr)
            sys.stdout, sys.stderr = (Aside(each, self.say) for each in self._streams)
            self._on_continue(self._continued)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            for each in (sys.stdout, sys.stderr):
                each.flush()
            sys.stdout, sys.stderr = self._streams
            self._on_continue(signal.SIG_DFL)
        self._stop.set()
        while self._thread.is_alive() and not self._outlet.out_of_patience:
            self._thread.join(0.05)
        if not self._thread.is_alive():
            self._outlet.close()

    def _continued(self, _number: int, _frame: FrameType | None) -> None:
        """After Ctrl-Z and `fg`, the shell's lines stand where the view was."""
        self._painter.forget()

    @staticmethod
    def _on_continue(handler: Any) -> None:
        with suppress(ValueError, AttributeError):  # not the main thread; no such signal on this system
            signal.signal(signal.SIGCONT, handler)

    def _run(self) -> None:
        stopped = False
        if self._mode == "live":
            chart.warm_up()
        while not stopped:
            stopped = self._stop.wait(self._pause())
            said = self._take_in()
            if self._mode == "live":
                self._draw_or_give_up(said, last=stopped)
            else:
                self._outlet.write(said)
        if self._closing is not None:
            text = self._painter.text(self._closing, self._console.width)
            self._outlet.write(text.replace("\n", "\r\n") if self._mode == "live" else text)
        while not self._outlet.push() and not self._outlet.out_of_patience:
            time.sleep(0.02)

    def _pause(self) -> float:
        if self._mode == "live":
            return min(max(FRAME_SECONDS, self._cost / MOST_OF_TIME), SLOWEST_SECONDS)
        return PLAIN_SECONDS

    def _take_in(self) -> str:
        """Bring the state up to date; return the lines to print."""
        said = ""
        with suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, str):
                    said += item
                    continue
                self._state = reduce(self._state, item)
                said += "".join(f"{line}\n" for line in self._lines(item))
        return said

    def _lines(self, record: Record) -> list[str]:
        if self._mode == "plain":
            return plain.lines(self._state, record)
        if record["event"] == "run_started":
            return [status_text.headline(record["description"])]
        return plain.lines(self._state, record) if record["event"] in SAID_ABOVE else []

    def _draw_or_give_up(self, said: str, *, last: bool) -> None:
        try:
            self._draw(said, last=last)
        except Exception as error:  # a mistake of ours in a picture must not cost the lines and the card
            self._mode = "plain"
            self._outlet.write(
                f"{said}The live view failed ({type(error).__name__}: {error}); plain lines follow.\n"
            )

    def _draw(self, said: str, *, last: bool) -> None:
        if not self._outlet.push() and not last:
            if said:
                self.say(said)
            return  # the terminal takes nothing now; frames in between are not missed
        began = time.thread_time()
        self._sample_memory()
        size = self._console.size
        lines = frame(self._state, *size, unicode=self._unicode)
        self._outlet.write(self._painter.paint(lines, size, said))
        self._cost = time.thread_time() - began

    def _sample_memory(self) -> None:
        now = time.monotonic()
        if now - self._sampled_at >= MEMORY_SECONDS:
            self._sampled_at = now
            self._state = evolve(self._state, machine=memory.sample())
