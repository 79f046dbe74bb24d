"""Stopping a run from outside: real signals, real processes, a real terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import (
    PATIENCE_SECONDS,
    TOY,
    Terminal,
    autolrs,
    environment,
    interrupt_group,
    start,
    wait_for_event,
    wait_until,
)

from autolrs_cli.records.journal import read_journal
from autolrs_cli.signals import LIKE_TERM
from autolrs_cli.training.interruption import RunInterrupted, StopRequest

# Hours, unless stopped.
LONG = (*TOY, "run.dir=run", "run.max_steps=50000", "run.log_every_steps=10", "search.max_stage_steps=40")
TRAINING = (*LONG, "schedule=original")


def assert_stopped_cleanly(
    directory: Path, reason: str, code: int, out: str, err: str
) -> list[dict[str, Any]]:
    """The journal is whole and ends in `interrupted`, the summary agrees, and the person knows where the run lies."""
    text = (directory / "journal.jsonl").read_text()
    assert text.endswith("\n")
    records = list(read_journal(directory / "journal.jsonl"))
    assert len(records) == text.count("\n")
    assert (records[-1]["event"], records[-1]["reason"]) == ("interrupted", reason)
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["status"], summary["reason"]) == ("interrupted", reason)
    cause = {"max_seconds": "time_limit"}.get(reason, reason.lower())
    assert records[-1]["cause"] == summary["cause"] == cause
    assert (summary["step"], summary["total_steps"]) == (records[-1]["step"], records[-1]["total_steps"])
    assert f"interrupted after {summary['step']} kept steps" in out
    assert "run directory: run" in out
    assert err == ""
    assert not (directory / "model.safetensors").exists()
    assert (directory / "schedule.csv").exists()
    assert code == {"SIGINT": 130, "max_seconds": 75}.get(reason, 143)
    return records


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_ctrl_c_inside_a_trial_with_workers(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group; the workers neither complain nor stay."""
    process = start(*LONG, "runtime.workers=2", cwd=tmp_path)
    wait_for_event(tmp_path / "run", "trial_finished", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    interrupt_group(process)
    assert_stopped_cleanly(tmp_path / "run", "SIGINT", *finished(process))
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_sigterm_in_training(tmp_path: Path) -> None:
    process = start(*TRAINING, cwd=tmp_path)
    wait_for_event(tmp_path / "run", "eval", process)
    process.send_signal(signal.SIGTERM)
    records = assert_stopped_cleanly(tmp_path / "run", "SIGTERM", *finished(process))
    kept = [record for record in records if record["event"] == "step"]
    assert kept[-1]["step"] <= records[-1]["step"] < kept[-1]["step"] + 10


def test_sigterm_to_the_whole_group_ends_workers_too(tmp_path: Path) -> None:
    """As a scheduler sends it: torch then sees a worker die, which is no failure of the run."""
    process = start(*TRAINING, "runtime.workers=2", cwd=tmp_path)
    wait_for_event(tmp_path / "run", "eval", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    assert_stopped_cleanly(tmp_path / "run", "SIGTERM", *finished(process))
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


class TestSignalsLikeSigterm:
    """What ends a process by default, and so would end a run without a checkpoint."""

    def test_a_lost_connection_reaches_the_whole_group_twice(self, tmp_path: Path) -> None:
        """From the kernel and from the shell; the second comes while the run writes down how it ended."""
        process = start(*TRAINING, "runtime.workers=2", cwd=tmp_path)
        wait_for_event(tmp_path / "run", "eval", process)
        os.killpg(process.pid, signal.SIGHUP)
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        records = assert_stopped_cleanly(tmp_path / "run", "SIGHUP", *finished(process))
        (kept,) = (tmp_path / "run" / "checkpoints").glob("step-*")
        assert int(kept.name.removeprefix("step-")) == records[-1]["step"]

    @pytest.mark.parametrize("number", LIKE_TERM)
    def test_each_stops_a_run_by_its_name(self, number: signal.Signals) -> None:
        """And those that come later (SIGXCPU: every second) change nothing, when the run listens no more, too."""
        before = signal.getsignal(number)
        try:
            with StopRequest().listening() as stop:
                os.kill(os.getpid(), number)
                with pytest.raises(RunInterrupted, match=number.name) as obeyed:
                    stop.check()
            os.kill(os.getpid(), number)
            assert (obeyed.value.cause, obeyed.value.cause.exit_code) == (number.name.lower(), 143)
        finally:
            signal.signal(number, before)

    def test_a_hangup_ignored_from_the_start_stays_ignored(self, tmp_path: Path) -> None:
        earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does; a child inherits it
        try:
            process = start(*TRAINING, cwd=tmp_path)
        finally:
            signal.signal(signal.SIGHUP, earlier)
        wait_for_event(tmp_path / "run", "eval", process)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)  # not obeyed after the next steps either
        process.send_signal(signal.SIGTERM)
        assert_stopped_cleanly(tmp_path / "run", "SIGTERM", *finished(process))

    def test_a_terminal_that_is_closed(self, tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
        """The kernel sends SIGHUP, and whatever is shown after that goes nowhere."""
        shown = terminal(*LONG, cwd=tmp_path)
        wait_until(lambda: "trials of stage" in shown.output, shown.process)
        shown.hang_up()
        assert shown.process.wait(PATIENCE_SECONDS) == 143
        assert list(read_journal(tmp_path / "run" / "journal.jsonl"))[-1]["reason"] == "SIGHUP"
        assert json.loads((tmp_path / "run" / "summary.json").read_text())["cause"] == "sighup"

    def test_a_sweep_passes_it_on_once(self, tmp_path: Path) -> None:
        process = start("sweep", *TRAINING[1:3], "recipe=toy", *TRAINING[5:], "--dir", "s", cwd=tmp_path)
        wait_until(lambda: any(_has_evaluated(path) for path in tmp_path.rglob("journal.jsonl")), process)
        for _ in range(5):  # the third Ctrl-C would kill the run
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        code, _, err = finished(process)
        assert (code, err) == (143, "")
        (summary,) = (tmp_path / "s").rglob("summary.json")
        assert json.loads(summary.read_text())["cause"] == "sighup"


def _has_evaluated(journal: Path) -> bool:
    return any(record["event"] == "eval" for record in read_journal(journal))


def test_the_time_limit(tmp_path: Path) -> None:
    # Counted from the start of the process, so it is over before the first step.
    done = autolrs(*TRAINING, "runtime.max_seconds=0.001", cwd=tmp_path)
    records = assert_stopped_cleanly(
        tmp_path / "run", "max_seconds", done.returncode, done.stdout, done.stderr
    )
    assert records[-1]["total_steps"] == 0


def test_ctrl_c_ends_all_runs_of_a_command(tmp_path: Path) -> None:
    process = start(*TRAINING, "-m", "seed=1,2,3", "run.dir=run${seed}", cwd=tmp_path)
    wait_for_event(tmp_path / "run1", "eval", process)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (130, "")
    assert "run directory: run1" in out
    assert not (tmp_path / "run2").exists()


def test_hammering_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    """Steps take long enough for a second Ctrl-C to come before the first is obeyed."""
    process = start(*TRAINING, "recipe.global_batch=500000", "run.log_every_steps=1", cwd=tmp_path, cold=True)
    wait_for_event(tmp_path / "run", "step", process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    code, out, err = finished(process)
    assert code == 130
    assert "Traceback" not in err
    # Obeyed after its step, or at once: it is said where the run lies.
    assert "run directory: run" in out or err == (
        "interrupted at once; what was recorded until then lies in run\n"
    )
    assert next(read_journal(tmp_path / "run" / "journal.jsonl"))["event"] == "run_started"


@pytest.mark.parametrize("library", ["_yaml", "libtorch_cpu"], ids=["composing", "importing torch"])
def test_ctrl_c_while_starting(tmp_path: Path, library: str) -> None:
    process = start(*LONG, cwd=tmp_path, cold=True)
    maps = Path(f"/proc/{process.pid}/maps")
    wait_until(lambda: library in maps.read_text(), process)
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code in (130, -signal.SIGINT)  # either way a shell sees 130
    assert (out, err) == ("", "")
    assert not (tmp_path / "run").exists()


DROPPED = """
import signal, time, weakref
from autolrs_cli.signals import keep_interrupts

signal.signal(signal.SIGINT, signal.default_int_handler)
keep_interrupts()
held = type("Held", (), {})()
dropping = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))
del held
time.sleep(60)
"""


def test_ctrl_c_in_a_callback_of_python_is_not_lost() -> None:
    """As while a module is imported, whose lock is given up in one."""
    done = subprocess.run(
        [sys.executable, "-c", DROPPED],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == -signal.SIGINT
    assert "Exception ignored" not in done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


class TestTerminal:
    """The live view on a pseudo-terminal of 80 x 24."""

    def test_it_shows_the_run_and_gives_the_terminal_back(
        self, tmp_path: Path, terminal: Callable[..., Terminal]
    ) -> None:
        shown = terminal(*TOY, "run.dir=run", "run.max_steps=400", cwd=tmp_path)
        assert shown.wait() == 0
        assert_restored(shown)
        assert "chosen LRs" in shown.output
        assert "run directory: run" in shown.output

    def test_ctrl_c_typed_there_gives_it_back_too(
        self, tmp_path: Path, terminal: Callable[..., Terminal]
    ) -> None:
        """From a fresh interpreter, whose end may complain of workers that went first."""
        shown = terminal(*LONG, "runtime.workers=2", cwd=tmp_path, cold=True)
        wait_until(lambda: "trials of stage" in shown.output, shown.process)
        workers = psutil.Process(shown.process.pid).children(recursive=True)
        assert len(workers) >= 2
        shown.type(b"\x03")
        assert shown.wait() == 130
        assert psutil.wait_procs(workers, timeout=20)[1] == []
        assert_restored(shown)
        assert "Traceback" not in shown.output
        assert "run directory: run" in shown.output
        assert list(read_journal(tmp_path / "run" / "journal.jsonl"))[-1]["event"] == "interrupted"


def assert_restored(shown: Terminal) -> None:
    output = shown.output
    assert "\x1b[?25l" in output, "there was no live view"
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l"), "the cursor is still hidden"
    assert output.count("\x1b[?1049h") == output.count("\x1b[?1049l")
    assert shown.settings_after == shown.settings_before
