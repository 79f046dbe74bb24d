"""A run seen from another process: its journal while it grows, is torn, or is cut."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from stories import Story

from autolrs_cli.dashboard.overview import overview
from autolrs_cli.dashboard.tail import JournalTail
from autolrs_cli.dashboard.viewer import Viewer
from autolrs_cli.dashboard.watched import WatchedRun, find_runs
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.records import events
from autolrs_cli.records.run_directory import RunDirectory


def record(step: int) -> bytes:
    return orjson.dumps({"event": "e", "t": 0.0, "step": step, "total_steps": step}) + b"\n"


def steps(found: list[dict[str, object]]) -> list[object]:
    return [each["step"] for each in found]


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_however_the_file_grows_every_record_comes_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "journal.jsonl"
    text = b"".join(record(i) for i in range(6))
    tail, seen = JournalTail(path), []
    for cut in [*sorted(cuts), len(text)]:
        path.write_bytes(text[:cut])
        anew, found = tail.poll()
        assert not anew
        seen += steps(found)
    assert seen == list(range(6))


def test_a_torn_last_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = JournalTail(path)
    assert tail.poll() == (False, [])
    path.write_bytes(record(1) + record(2)[:9])
    assert steps(tail.poll()[1]) == [1]
    path.write_bytes(record(1) + record(2))
    assert steps(tail.poll()[1]) == [2]
    assert tail.poll() == (False, [])


def test_a_journal_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = JournalTail(path)
    path.write_bytes(record(1) + record(2) + record(3))
    tail.poll()
    path.write_bytes(record(1))
    anew, found = tail.poll()
    assert (anew, steps(found)) == (True, [1])


def test_a_journal_that_was_cut_and_has_grown_since_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = JournalTail(path)
    path.write_bytes(record(1) + record(2))
    tail.poll()
    path.write_bytes(record(1) + record(7) + record(8) + record(9))
    anew, found = tail.poll()
    assert (anew, steps(found)) == (True, [1, 7, 8, 9])


def test_a_line_that_is_no_event_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(record(1) + b'{"torn": \n[1]\n' + record(2))
    tail = JournalTail(path)
    assert steps(tail.poll()[1]) == [1, 2]
    assert tail.unreadable == 2


def write_run(root: Path, story: Story) -> Path:
    root.mkdir(parents=True)
    (root / "config.yaml").write_text("seed: 0\n")
    (root / "journal.jsonl").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in story.records))
    return root


HOLDER = """
import sys, time
from pathlib import Path
from autolrs_cli.records.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_is_running_while_its_process_lives_and_killed_after(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", Story().warm_up().search(0, 1).trial(0, 1, 4))
    run = WatchedRun(root)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        run.refresh()
        assert (run.status, run.state.abandoned) == ("running", False)
        assert RunDirectory(root).holder_process() == process.pid
        assert run.state.machine is not None
        assert run.state.machine.process > 1_000_000
        process.send_signal(signal.SIGKILL)
    run.refresh()
    assert (root / "run.holder").exists(), "a killed process takes nothing with it"
    assert (run.status, run.state.abandoned, run.state.machine) == ("killed", True, None)


def test_looking_does_not_write_and_does_not_hold_the_lock(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", Story().warm_up())
    (root / "run.lock").touch()
    (root / "run.holder").write_text(f"process {os.getpid()} on {socket.gethostname()}")
    before = {path: path.read_bytes() for path in root.iterdir()}
    run = WatchedRun(root)
    run.refresh()
    assert {path: path.read_bytes() for path in root.iterdir()} == before
    with RunDirectory(root).locked():
        run.refresh()
        assert run.worked_on


def test_runs_are_found_below_a_folder_but_hydras_own_files_are_not(tmp_path: Path) -> None:
    a = write_run(tmp_path / "sweep" / "b" / "1", Story())
    b = write_run(tmp_path / "sweep" / "a" / "2", Story())
    hydra = tmp_path / "sweep" / "a" / ".hydra"
    hydra.mkdir()
    (hydra / "config.yaml").touch()
    assert find_runs([tmp_path / "sweep"]) == [b, a]
    assert find_runs([a, tmp_path / "sweep"]) == [a, b]
    assert find_runs([tmp_path / "nothing"]) == []


@pytest.fixture
def several(tmp_path: Path) -> list[WatchedRun]:
    done = (
        Story().warm_up().stage(0).stage(1).stage(2).say(events.RunFinished("done", None, EndCause.DONE, {}))
    )
    stopped = Story().warm_up().search(0, 2).say(events.Interrupted("SIGINT", EndCause.SIGINT))
    failed = Story().warm_up().say(events.RunFinished("failed", "out of memory", EndCause.OUT_OF_MEMORY, {}))
    stories = {"seed=0": done, "seed=1": stopped, "seed=2": failed, "seed=3": Story().warm_up()}
    runs = [WatchedRun(write_run(tmp_path / "sweep" / name, story)) for name, story in stories.items()]
    for run in runs:
        run.refresh()
    return runs


def test_the_overview_has_a_line_for_each_run(several: list[WatchedRun]) -> None:
    lines = [line.plain for line in overview(several, 100, 40)]
    statuses = [(line.split()[0], line.split()[1], line.split()[2]) for line in lines[1:5]]
    assert statuses == [
        ("seed=0", "done", "500/500"),
        ("seed=1", "stopped", "20/500"),
        ("seed=2", "failed", "20/500"),
        ("seed=3", "killed", "20/500"),
    ]
    assert "4.00e-2" in lines[1]
    assert "accuracy 0.9097" in lines[1]
    assert any(block in lines[1] for block in "▁▂▃▄▅▆▇█")
    assert lines[5].startswith("4 runs: 1 killed, 1 failed, 1 stopped, 1 done")
    assert f"autolrs resume {several[3].directory.root}" in "".join(
        line.plain for line in overview(several, 300, 9)
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 6), (40, 10), (200, 60)])
def test_the_overview_fits_and_drops_what_is_done_first(
    several: list[WatchedRun], width: int, height: int
) -> None:
    for unicode in (True, False):
        lines = [line.plain for line in overview(several, width, height, unicode=unicode)]
        assert len(lines) < height
        assert max(map(len, lines)) <= width
    if height == 6:
        assert "seed=0" not in "".join(lines)
        assert "2 more not shown" in "".join(lines)


def test_a_marked_run_is_always_shown_under_its_number(several: list[WatchedRun]) -> None:
    for height in (6, 24):
        for marked in range(4):
            lines = [line.plain for line in overview(several, 80, height, marked=marked)]
            (shown,) = [line for line in lines if line.startswith(">")]
            assert shown.split()[:2] == [f">{marked + 1}", f"seed={marked}"]
            assert max(map(len, lines)) <= 80
            assert "Enter: open a run" in lines[-1]


def test_a_table_that_is_followed_takes_in_new_runs(several: list[WatchedRun]) -> None:
    console = Console(file=io.StringIO(), width=80)
    viewer = Viewer(several[:1], console, lambda known: several[1:] if len(known) == 1 else [], single=False)
    viewer._refresh()
    assert len(viewer._runs) == 4
    viewer._refresh()
    assert len(viewer._runs) == 4


def test_an_empty_directory_says_that_nothing_was_trained(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", Story())
    (root / "journal.jsonl").write_bytes(b"")
    out = io.StringIO()
    Viewer([WatchedRun(root)], Console(file=out, width=80), single=True).show()
    assert out.getvalue().startswith("nothing was trained here")
