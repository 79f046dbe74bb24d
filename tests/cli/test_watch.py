"""`autolrs watch` as a person uses it: beside a run that goes on, after it, and after its death."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest
from processes import COLUMNS, ROWS, TOY, Terminal, autolrs, start, wait_for_event, wait_until

from autolrs_cli.commands.watch import main

SEARCHING = re.compile(r"stage \d+ of \d+: tr")
ENDLESS = (*TOY, "run.max_steps=50000", "search.max_stage_steps=40", "dashboard=none")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and one that was killed inside a search."""
    folder = tmp_path_factory.mktemp("runs")
    done = autolrs(*TOY, "dashboard=none", "run.dir=done", cwd=folder)
    assert done.returncode == 0, done.stderr
    process = start(*ENDLESS, "run.dir=killed", cwd=folder)
    wait_for_event(folder / "killed", "trial_finished", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    return folder


def test_a_killed_run_shows_its_true_last_state_and_the_way_on(runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (runs / "killed").rglob("*")}
    said = autolrs("watch", "killed", cwd=runs)
    assert (said.returncode, said.stderr) == (0, "")
    assert "killed in stage" in said.stdout
    assert "to go on: autolrs resume killed" in said.stdout
    assert " left" not in said.stdout, "nothing is going on"
    assert {path: path.stat().st_mtime_ns for path in (runs / "killed").rglob("*")} == before


def test_in_a_pipe_it_is_plain_text(runs: Path) -> None:
    for arguments in (("done",), ("done", "--follow"), (".",)):
        said = autolrs("watch", *arguments, cwd=runs, NO_COLOR="", FORCE_COLOR="")
        assert (said.returncode, said.stderr) == (0, "")
        assert not [c for c in said.stdout if ord(c) < 32 and c != "\n"]
    assert "done after 130 kept" in autolrs("watch", "done", cwd=runs, PYTHONIOENCODING="ascii").stdout


def test_following_a_dead_run_in_a_pipe_gives_its_lines_and_ends(runs: Path) -> None:
    said = autolrs("watch", "killed", "--follow", cwd=runs)
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert lines[0].startswith("toy at scale=demo")
    assert lines[-2].startswith("killed in stage")
    assert lines[-1] == "to go on: autolrs resume killed"


def test_several_runs_are_a_table(runs: Path) -> None:
    said = autolrs("watch", ".", cwd=runs)
    assert said.returncode == 0
    table = {line.split()[0]: line.split()[1] for line in said.stdout.splitlines()[1:3]}
    assert table == {"done": "done", "killed": "killed"}
    assert "to open one: autolrs watch killed" in said.stdout


def test_a_run_of_the_table_is_opened_by_keys(runs: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("watch", ".", "--follow", cwd=runs)
    display = pyte.Screen(COLUMNS, ROWS)

    def sees(words: str) -> bool:
        display.reset()
        pyte.Stream(display).feed(shown.output)
        return words in "\n".join(display.display)

    wait_until(lambda: sees(">1 done"), shown.process)
    shown.type(b"\x1b[B")
    wait_until(lambda: sees(">2 killed"), shown.process)
    shown.type(b"\r")
    wait_until(lambda: sees("killed in stage"), shown.process)
    assert sees("Esc or q: back to the table")
    shown.type(b"\x1b")
    wait_until(lambda: sees(">2 killed"), shown.process)
    shown.type(b"q")
    assert shown.wait() == 0
    assert shown.settings_after == shown.settings_before


def test_a_table_that_is_ended_gives_the_terminal_back(runs: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("watch", ".", "--follow", cwd=runs)
    wait_until(lambda: "Enter: open a run" in shown.output, shown.process)
    shown.process.send_signal(signal.SIGTERM)
    assert shown.wait() == 143
    assert shown.settings_after == shown.settings_before


def test_a_place_without_runs_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([tmp_path / "empty", tmp_path / "missing"], follow=False) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "empty holds no run" in said.err
    assert "missing does not exist" in said.err


def test_a_run_is_followed_live_from_another_terminal(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    """Until the person leaves with Ctrl-C, which leaves the run alone; and until the run ends."""
    process = start(*ENDLESS, "run.dir=run", cwd=tmp_path)
    wait_for_event(tmp_path / "run", "trial_started", process)
    first = terminal("watch", "run", "--follow", cwd=tmp_path)
    wait_until(lambda: SEARCHING.search(first.output), first.process)
    first.type(b"\x03")
    assert first.wait() == 0
    assert first.output.rindex("\x1b[?25h") > first.output.rindex("\x1b[?25l")
    assert process.poll() is None
    second = terminal("watch", "run", "--follow", cwd=tmp_path)
    wait_until(lambda: SEARCHING.search(second.output), second.process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert second.wait() == 0
    display = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(display).feed(second.output)
    seen = "\n".join(display.display)
    assert "interrupted after" in seen
    assert "to go on: autolrs resume run" in seen
