"""What a terminal shows after the painter's bytes, and what happens if it takes none."""

from __future__ import annotations

import io
import os
import pty
import re
from pathlib import Path

import pyte
import warm
from processes import COMMAND, PATIENCE_SECONDS, TOY, Terminal, environment, wait_until
from rich.console import Console
from rich.text import Text
from stories import Story

from autolrs_cli.dashboard.outlet import Outlet
from autolrs_cli.dashboard.painter import Painter
from autolrs_cli.dashboard.render import frame

COLUMNS, ROWS = 80, 24


class Display:
    """A terminal of pyte, and a painter that paints on it."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self.screen)
        console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
        self.painter = Painter(console)

    def paint(self, lines: list[Text], above: str = "") -> str:
        text = self.painter.paint(lines, (self.screen.columns, self.screen.lines), above)
        self._stream.feed(text)
        return text

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display]


def test_frames_are_painted_over_each_other() -> None:
    display, story = Display(), Story()
    for moment in (story.warm_up(5), story.search(0, 2), story.choose(0, 1), story.train(0, 30)):
        lines = frame(moment.state(), COLUMNS, ROWS)
        display.paint(lines)
        assert display.rows == [*(line.plain.rstrip() for line in lines), ""]
        assert not display.screen.cursor.hidden


def test_only_changed_lines_are_sent_and_an_equal_frame_costs_nothing() -> None:
    display = Display()
    lines = [Text(f"line {i}") for i in range(20)]
    first = display.paint(lines)
    assert display.paint(lines) == ""
    lines[7] = Text("line changed")
    again = display.paint(lines)
    assert "line changed" in again
    assert "line 6" not in again
    assert len(again) < len(first)
    assert display.rows[7] == "line changed"


def test_a_line_as_wide_as_the_terminal_keeps_its_last_character() -> None:
    display = Display()
    display.paint([Text("x" * COLUMNS), Text("below")])
    display.paint([Text("y" * COLUMNS), Text("below")])
    assert display.rows[:2] == ["y" * COLUMNS, "below"]


def test_a_shorter_frame_leaves_nothing_of_the_longer_one() -> None:
    display = Display()
    display.paint([Text(f"old {i}") for i in range(10)])
    display.paint([Text("new")])
    assert [row for row in display.rows if row] == ["new"]


def test_what_is_said_stays_above_the_view() -> None:
    display = Display()
    display.paint([Text("view 1"), Text("view 1, line 2")])
    display.paint([Text("view 2"), Text("view 2, line 2")], above="a warning\n")
    assert [row for row in display.rows if row] == ["a warning", "view 2", "view 2, line 2"]


def test_after_a_resize_there_is_one_view() -> None:
    display, state = Display(), Story().warm_up().search(0, 2).state()
    for columns, rows in ((COLUMNS, ROWS), (120, 40), (70, 20), (100, 30)):
        display.screen.resize(rows, columns)
        display.screen.cursor.y = min(display.screen.cursor.y, rows - 1)
        display.paint(frame(state, columns, rows))
        assert sum(row.startswith("autolrs  ") for row in display.rows) == 1
        assert "stage 1 of 3" in "\n".join(display.rows)


def test_after_ctrl_z_the_view_begins_anew_below_the_shells_lines() -> None:
    display = Display()
    lines = [Text("view"), Text("line 2")]
    display.paint(lines)
    pyte.Stream(display.screen).feed("[1]+  Stopped\r\n$ fg\r\n")
    display.painter.forget()
    display.paint(lines)
    assert [row for row in display.rows if row] == [
        "view",
        "line 2",
        "[1]+  Stopped",
        "$ fg",
        "view",
        "line 2",
    ]


class TestOutlet:
    """Writing never waits."""

    def test_a_terminal_that_nobody_reads_keeps_the_rest_pending(self) -> None:
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as stream:
            outlet = Outlet(stream)
            outlet.write("x" * 1_000_000)
            assert not outlet.push()
            assert outlet.waiting_since is not None
            taken = len(os.read(master, 1 << 20))
            assert 0 < taken < 1_000_000
            outlet.close()
        os.close(master)

    def test_a_pipe_that_nobody_reads_keeps_the_rest_pending(self) -> None:
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as stream:
            outlet = Outlet(stream)
            outlet.write("x" * 200_000)
            assert not outlet.push()
            received = b""
            while not outlet.push():
                received += os.read(reader, 1 << 20)
            received += os.read(reader, 1 << 20)
            assert received == b"x" * 200_000
            assert outlet.waiting_since is None
            os.close(reader)
            outlet.write("nobody is there")
            assert outlet.gone


def test_a_run_ends_though_nobody_ever_reads_its_terminal(tmp_path: Path) -> None:
    """As after Ctrl-S, or on a connection that hangs: the buffer of the terminal is full after a frame."""
    master, slave = pty.openpty()
    process = warm.Popen(
        [*COMMAND, *TOY, "run.dir=run"],
        cwd=tmp_path,
        env=environment(TERM="xterm-256color"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        os.close(master)
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    terminal = Terminal(*TOY, "run.dir=run", "schedule=original", cwd=tmp_path, TERM="dumb")
    assert terminal.wait() == 0
    assert "\x1b[" not in terminal.output
    assert "held out" in terminal.output


def test_a_live_run_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    # Seconds of training: a run that is over before its first frame would show nothing on the way.
    terminal = Terminal(*TOY, "run.dir=run", "run.max_steps=600", cwd=tmp_path)
    wait_until(lambda: re.search(r"stage \d+ of \d+: tr", terminal.output), terminal.process)
    assert terminal.wait() == 0
    assert terminal.settings_after == terminal.settings_before
    assert terminal.output.count("\x1b[?25h") == terminal.output.count("\x1b[?25l") > 0
    assert "\x1b[?1049h" not in terminal.output
    display = pyte.HistoryScreen(COLUMNS, ROWS, history=1000)
    pyte.Stream(display).feed(terminal.output)
    assert not display.cursor.hidden
    seen = "\n".join(row.rstrip() for row in display.display)
    assert "autolrs compare run OTHER_RUN_DIR" in seen
