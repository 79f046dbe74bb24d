"""What a sweep makes of run directories and exit codes, and how long it thinks the rest will take."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import Ended, SweepFiles, forget_finished
from autolrs_cli.experiments.run_status import RunState, explain_exit, set_aside, state_of
from autolrs_cli.experiments.sweep.progress import SweepProgress, last_record
from autolrs_cli.experiments.sweep.results import Ending, outcomes, print_ending
from autolrs_cli.records.run_directory import RunDirectory

TO_COME = RunState("to come")


def job(root: Path, kind: str = "a", steps: int = 100) -> Job:
    return Job("seed=0", ("recipe=toy",), str(root), kind, "toy demo", steps, "data")


def begin(root: Path, *records: dict[str, object], summary: dict[str, object] | None = None) -> Path:
    """Make a run directory as a run leaves it."""
    root.mkdir(parents=True)
    (root / "config.yaml").touch()
    if records:
        (root / "journal.jsonl").write_bytes(
            b"".join(orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in records)
        )
    if summary is not None:
        (root / "summary.json").write_text(json.dumps(summary))
    return root


def step(total: int, t: float) -> dict[str, object]:
    return {"event": "step", "t": t, "step": total, "total_steps": total}


class TestState:
    """Read from the directory alone."""

    def test_what_has_become_of_a_run(self, tmp_path: Path) -> None:
        record = step(5, 1.0)
        cases = {
            "to come": [tmp_path / "nowhere", begin(tmp_path / "only-config")],
            "done": [begin(tmp_path / "done", record, summary={"status": "done", "reason": None})],
            "failed": [begin(tmp_path / "failed", record, summary={"status": "failed", "reason": "no luck"})],
            "interrupted": [
                begin(tmp_path / "stopped", record, summary={"status": "interrupted", "reason": "SIGINT"}),
                begin(tmp_path / "killed", record),
                begin(tmp_path / "torn", record, summary=None),
            ],
        }
        (tmp_path / "torn" / "summary.json").write_text('{"status": "do')
        for state, roots in cases.items():
            assert [state_of(root).state for root in roots] == [state] * len(roots)
        assert state_of(tmp_path / "failed").reason == "no luck"
        assert state_of(tmp_path / "killed").reason == "killed"

    def test_a_run_that_diverged_has_a_result_and_one_that_failed_otherwise_has_none(
        self, tmp_path: Path
    ) -> None:
        for cause, has_result in (("diverged", True), ("unwritable", False)):
            ended = {"status": "failed", "reason": "a sentence", "cause": cause}
            found = state_of(begin(tmp_path / cause, step(5, 1.0), summary=ended))
            assert (found.cause, found.has_result) == (cause, has_result)

    def test_a_run_that_a_living_process_works_on_is_not_touched(self, tmp_path: Path) -> None:
        root = begin(tmp_path / "run", step(5, 1.0))
        with RunDirectory(root).locked():
            found = state_of(root)
        assert found.state == "in use"
        assert found.reason.startswith("by process ")
        assert state_of(root).state == "interrupted"

    def test_failed_runs_are_kept_beside_each_other(self, tmp_path: Path) -> None:
        for number in (1, 2):
            root = begin(tmp_path / "run", step(number, 1.0))
            assert set_aside(root) == tmp_path / f"run.failed-{number}"
            assert not root.exists()

    def test_why_a_process_ended(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        assert explain_exit(-9, log) == "its process was killed by SIGKILL (out of memory?)"
        assert explain_exit(1, log) == "its process ended with exit code 1"
        log.write_text("starting\nerror: `a` must be 1.\nerror: `b` must be 2.\nbye\n")
        assert explain_exit(2, log) == "`a` must be 1. `b` must be 2."
        log.write_text("Traceback ...\nValueError: no\n\n")
        assert explain_exit(1, log) == "ValueError: no"


class TestProgress:
    """Time left, from the journals."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> SweepFiles:
        jobs = [job(tmp_path / name, kind) for name, kind in (("one", "a"), ("two", "a"), ("three", "b"))]
        return SweepFiles.create(tmp_path / "s", jobs, fail_fast=False)

    def test_time_left(self, tmp_path: Path, files: SweepFiles) -> None:
        jobs = files.plan().jobs
        progress = SweepProgress(jobs, [TO_COME] * 3, [files])
        assert (progress.share, progress.seconds_left()) == (0.0, None)

        files.log(0).touch()
        begin(tmp_path / "one", step(10, 5.0), step(40, 20.0))
        progress.update()
        assert [run.phase for run in progress.runs] == ["running", "to come", "to come"]
        assert progress.share == pytest.approx(40 / 300)
        # Half a second a step, 260 steps to go, one run at once.
        assert progress.seconds_left() == pytest.approx(130.0)

        files.log(2).touch()
        begin(tmp_path / "three", step(20, 20.0))
        progress.update()
        # Two at once; a step of kind b costs 1 s, of kind a 0.5 s.
        assert progress.seconds_left() == pytest.approx((60 * 0.5 + 100 * 0.5 + 80 * 1.0) / 2)

        files.note_end(0, Ended(1, 20.0))
        progress.update()
        assert progress.runs[0].phase == "ended"
        assert progress.runs[0].code == 1
        # A run that failed half-way has nothing left to do.
        assert progress.share == pytest.approx(1 - (100 + 80) / 300)

    def test_runs_of_an_earlier_command_count_as_ended(self, tmp_path: Path, files: SweepFiles) -> None:
        done = RunState("done", summary={"total_steps": 100, "ledger": {"training": {"seconds": 30.0}}})
        jobs = [job(tmp_path / "earlier"), *files.plan().jobs]
        progress = SweepProgress(jobs, [done, TO_COME, TO_COME, TO_COME], [files])
        assert progress.share == pytest.approx(0.25)
        # From its cost, also for the other kind, of which nothing is known.
        assert progress.seconds_left() == pytest.approx(300 * 0.3)

    def test_the_last_record_of_a_growing_journal(self, tmp_path: Path) -> None:
        journal = tmp_path / "journal.jsonl"
        assert last_record(journal) is None
        journal.write_bytes(b'{"event":"step","t":1}')
        assert last_record(journal) is None
        journal.write_bytes(b'{"event":"step","t":1}\n{"event":"step","t":2}\n{"ev')
        assert last_record(journal) == {"event": "step", "t": 2}


class TestEnding:
    """What is said of runs when all processes have ended."""

    @pytest.fixture
    def said(self, tmp_path: Path) -> Callable[..., tuple[int, str]]:
        """What is printed of one run whose process left with a code, and the exit code."""

        def end(code: int, *records: dict[str, object], summary: dict[str, object] | None = None) -> Any:
            root = begin(tmp_path / "run", *records, summary=summary)
            files = SweepFiles.create(tmp_path / "s", [job(root)], fail_fast=False)
            files.log(0).write_text("error: `a` must be 1.\n")
            files.note_end(0, Ended(code, 1.0))
            progress = SweepProgress([job(root)], [TO_COME], [files])
            progress.update()
            console = Console(file=StringIO(), width=200)
            ending = Ending(outcomes([job(root)], [TO_COME], progress), files, None)
            returned = print_ending(ending, tmp_path / "s", console, compare=False)
            assert isinstance(console.file, StringIO)
            return returned, console.file.getvalue()

        return end

    def test_a_run_that_was_killed_goes_on_with_the_plain_command(
        self, said: Callable[..., tuple[int, str]]
    ) -> None:
        code, text = said(-signal.SIGKILL, step(5, 1.0))
        assert code == 1
        assert "interrupted" in text
        assert "killed by SIGKILL (out of memory?)" in text
        assert "The same command goes on with the runs that are not done." in text
        assert "--rerun-failed" not in text

    def test_a_run_that_was_refused_needs_no_option_to_be_tried_again(
        self, said: Callable[..., tuple[int, str]]
    ) -> None:
        code, text = said(2)
        assert code == 1
        assert "failed" in text
        assert "`a` must be 1." in text
        assert "The same command goes on" in text
        assert "--rerun-failed" not in text

    def test_a_run_that_failed_by_itself_is_begun_again_when_asked(
        self, said: Callable[..., tuple[int, str]]
    ) -> None:
        ledger = {"training": {"seconds": 1.0, "steps": 5}}
        ended = {"status": "failed", "reason": "no luck", "step": 5, "total_steps": 5, "ledger": ledger}
        code, text = said(1, step(5, 1.0), summary=ended)
        assert code == 1
        assert "no luck" in text
        assert "--rerun-failed begins the failed runs again" in text
        assert "goes on with" not in text


class TestFiles:
    """What processes tell each other."""

    def test_a_request_to_stop(self, tmp_path: Path) -> None:
        files = SweepFiles.create(tmp_path, [job(tmp_path / "one")], fail_fast=True)
        assert files.stop() is None
        files.ask_to_stop("SIGINT", 2)
        other = SweepFiles(files.folder)
        stop = other.stop()
        assert stop is not None
        assert (stop.signal, stop.times) == ("SIGINT", 2)
        assert (other.plan().fail_fast, other.plan().cwd) == (True, str(Path.cwd()))

    def test_folders_go_when_their_runs_are_done(self, tmp_path: Path) -> None:
        one, two = (SweepFiles.create(tmp_path / n, [job(tmp_path / n)], fail_fast=False) for n in ("1", "2"))
        forget_finished(tmp_path / "1", {tmp_path / "1"})
        forget_finished(tmp_path / "2", set())
        assert not one.folder.parent.exists()
        assert two.folder.exists()
