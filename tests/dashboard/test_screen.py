"""The view is a pure function of the journal's records."""

from __future__ import annotations

import io
import itertools
import re
import sys
import threading
from pathlib import Path

import pyte
import pytest
from harness import events, toy
from rich.console import Console
from rich.text import Text

from autolrs_cli.dashboard import plain
from autolrs_cli.dashboard.render import render, sparkline
from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.dashboard.state import MAX_POINTS, Points, Record, State, reduce
from autolrs_cli.terminal import formats


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The journal of a finished toy run with one trial that diverged."""
    directory = tmp_path_factory.mktemp("run")
    toy(
        directory,
        "search.lr_max=1e12",
        "search.num_trials=4",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
    )
    found = events(directory)
    assert "diverged" in {r.get("status") for r in found}
    return found


def state_after(records: list[Record], event: str, nth: int = 1) -> State:
    """Return the state just after the n-th `event`."""
    state, seen = State(), 0
    for record in records:
        state = reduce(state, record)
        seen += record["event"] == event
        if seen == nth:
            return state
    raise AssertionError(f"no {nth} {event}")


def text(state: State, width: int, height: int) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(render(state, width, height))
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (40, 10), (100, 24), (20, 3)])
def test_every_moment_fits_the_terminal(records: list[Record], width: int, height: int) -> None:
    state = State()
    for number, record in enumerate(records):
        state = reduce(state, record)
        if number % 5 and record["event"] in ("step", "trial_step"):
            continue
        lines = text(state, width, height).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) < height, record["event"]


def test_a_trial_is_shown_while_it_runs(records: list[Record]) -> None:
    state = state_after(records, "trial_step", 5)
    shown = text(state, 100, 30)
    assert "stage 1 of 2: trial 1 of 4 at LR" in shown
    assert "step 5 of 20" in shown
    assert "running" in shown
    assert formats.lr(state.trials[0].lr) in shown


def test_a_diverged_trial_is_visible(records: list[Record]) -> None:
    nth = 1 + [r["status"] for r in records if r["event"] == "trial_finished"].index("diverged")
    assert "diverged" in text(state_after(records, "trial_finished", nth), 100, 30)


def test_chosen_lrs_and_the_best_trial_are_shown(records: list[Record]) -> None:
    state = state_after(records, "lr_chosen", 2)
    shown = text(state, 120, 40)
    chosen = [r for r in records if r["event"] == "lr_chosen"]
    assert all(formats.lr(r["lr"]) in shown for r in chosen)
    assert sum(row.best for row in state.trials) == 1
    assert "  chosen" in shown


def test_the_end_is_said(records: list[Record]) -> None:
    state = state_after(records, "run_finished")
    assert "done after 130 kept" in text(state, 100, 30)
    assert state.total_steps == records[-1]["total_steps"]


def test_time_left_follows_the_pace_since_training_began() -> None:
    plan = {"max_steps": 60, "search_steps": 40, "segments": []}
    base = {"total_steps": 0, "step": 0}
    state = reduce(State(), {**base, "event": "run_started", "t": 50.0, "description": {}, "plan": plan})
    assert state.seconds_left is None
    step = {"event": "step", "lr": 0.1, "loss": 1.0, "examples": 1}
    state = reduce(state, {**step, "t": 60.0, "step": 10, "total_steps": 10})
    assert state.seconds_left is None
    state = reduce(state, {**step, "t": 80.0, "step": 20, "total_steps": 20})
    assert state.seconds_left == pytest.approx(80 * 2.0)


def test_a_long_curve_stays_bounded_and_keeps_its_shape() -> None:
    points = Points()
    for step in range(100_000):
        points = points.add(step, float(step))
    assert len(points.items) <= MAX_POINTS + 1
    steps = [step for step, _ in points.items]
    assert steps[0] == 0
    assert steps[-1] > 95_000
    assert len({b - a for a, b in itertools.pairwise(steps)}) == 1


def test_a_sparkline_spans_its_range() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0] * 20, 4) == "▁▁▁▁"
    assert len(sparkline(list(range(1000)), 30)) == 30


def test_unknown_events_of_a_later_version_only_move_the_clock() -> None:
    state = reduce(State(), {"event": "from_the_future", "t": 3.0, "step": 1, "total_steps": 2})
    assert (state.t, state.step, state.total_steps) == (3.0, 1, 2)


def test_plain_lines_tell_the_run(records: list[Record]) -> None:
    state, lines = State(), []
    for record in records:
        state = reduce(state, record)
        lines += plain.lines(state, record)
    said = "\n".join(lines)
    assert lines[0].startswith("toy at scale=demo: a small network on two noisy rings.")
    assert "stage 1 of 2: 40 steps; search by 4 trials of 20 steps" in said
    assert "-> predicted loss" in said
    assert "-> diverged (" in said
    assert said.count("chosen LR") == 2
    assert "accuracy" in said


def test_without_a_terminal_the_live_view_becomes_plain_lines(records: list[Record]) -> None:
    console = Console(file=io.StringIO(), width=80)
    with Screen("live", console) as screen:
        for record in records:
            screen.show(record)
    said = console.file.getvalue()
    assert "\x1b" not in said
    assert "chosen LR" in said


def test_the_live_view_draws_in_a_terminal_and_gives_the_cursor_back(records: list[Record]) -> None:
    console = Console(
        file=io.StringIO(), width=100, height=30, force_terminal=True, _environ={"TERM": "xterm"}
    )
    with Screen("live", console) as screen:
        for record in records:
            screen.show(record)
    said = console.file.getvalue()
    assert "done after 130 kept" in said
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")


def test_a_reader_that_takes_nothing_blocks_neither_training_nor_the_exit(records: list[Record]) -> None:
    release = threading.Event()

    class Blocked(io.StringIO):
        def write(self, text: str) -> int:
            release.wait()
            return len(text)

    with Screen("plain", Console(file=Blocked(), width=80)) as screen:
        for record in records * 20:
            screen.show(record)
    assert screen._thread.is_alive(), "show() returned every time, and leaving the block did too"
    release.set()
    screen._thread.join()


def test_what_others_print_appears_above_the_live_view(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, _environ={"TERM": "xterm"})
    before = sys.stdout, sys.stderr
    with Screen("live", console) as screen:
        for record in records[:50]:
            screen.show(record)
        sys.stdout.write("a library says hello\n")
        sys.stderr.write("and warns without a newline")
        screen.conclude(Text("the closing card"))
    assert (sys.stdout, sys.stderr) == before
    display = pyte.HistoryScreen(100, 30, history=500)
    pyte.Stream(display).feed(out.getvalue())
    lines = [row.rstrip() for row in (*_history(display), *display.display)]
    said, warned, card = (
        next(i for i, row in enumerate(lines) if row.startswith(what))
        for what in ("a library says hello", "and warns without a newline", "the closing card")
    )
    view = next(i for i, row in enumerate(lines) if "stage 1 of 2" in row)
    assert said < warned < view < card


def _history(display: pyte.HistoryScreen) -> list[str]:
    return ["".join(row[i].data for i in range(display.columns)) for row in display.history.top]


@pytest.mark.parametrize(("encoding", "ascii_only"), [("utf-8", False), ("ascii", True), ("latin-1", True)])
def test_a_terminal_without_unicode_gets_ascii(
    records: list[Record], encoding: str, ascii_only: bool
) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(file=out, width=80, height=24, force_terminal=True, _environ={"TERM": "xterm"})
    with Screen("live", console) as screen:
        for record in records:
            screen.show(record)
    said = raw.getvalue().decode(encoding)
    assert "done after 130 kept" in said
    assert said.isascii() == ascii_only
    assert "\\u" not in said


def test_no_color_leaves_no_colour(records: list[Record]) -> None:
    said = {}
    for name, given in (("colour", {}), ("none", {"NO_COLOR": "1"})):
        out = io.StringIO()
        environment = {"TERM": "xterm-256color", **given}
        console = Console(file=out, width=80, height=24, force_terminal=True, _environ=environment)
        with Screen("live", console) as screen:
            for record in records:
                screen.show(record)
        said[name] = out.getvalue()
    colours = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|9[0-7])[0-9;]*m")
    assert colours.search(said["colour"])
    assert not colours.search(said["none"])


def test_a_view_that_fails_costs_neither_the_lines_nor_the_card(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[Text]:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("autolrs_cli.dashboard.screen.frame", broken)
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, _environ={"TERM": "xterm"})
    with Screen("live", console) as screen:
        for record in records:
            screen.show(record)
        screen.conclude(Text("the closing card"))
    assert (
        "The live view failed (ZeroDivisionError: a mistake of ours); plain lines follow." in out.getvalue()
    )
    assert out.getvalue().rstrip().endswith("the closing card")


def test_the_loop_hands_records_over_without_looking_at_them() -> None:
    """Listeners run in the training thread: all that `show` does is to put the record on a queue."""
    screen = Screen("live", Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"}))
    record: Record = {"event": "a record that nothing can be made of"}
    screen.show(record)
    assert screen._queue.get_nowait() is record


def test_durations_read_as_clocks() -> None:
    assert [formats.duration(s) for s in (None, 5, 65, 3700, 90061)] == [
        "-",
        "0:05",
        "1:05",
        "1:01:40",
        "1d 1:01:01",
    ]


def test_a_run_can_be_watched_from_its_file_alone(tmp_path: Path) -> None:
    toy(tmp_path, "run.max_steps=60")
    state = State()
    for record in events(tmp_path):
        state = reduce(state, record)
    assert state.ended == "done"
    assert len(state.chosen) == 1
