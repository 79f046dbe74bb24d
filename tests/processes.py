"""Run `autolrs` as a person does: a process of its own, in a folder of its own, with real signals and terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import warm

from autolrs_cli.records.journal import read_journal

COMMAND = (sys.executable, "-m", "autolrs_cli")
USER = Path(__file__).parent / "user"
TOY = ("train", "--config-dir", str(USER), "recipe=toy")
PATIENCE_SECONDS = 120
COLUMNS, ROWS = 80, 24


def environment(**changes: str) -> dict[str, str]:
    """One thread, no colours, and none of the settings of the person who runs the tests."""
    unwanted = ("FORCE_COLOR", "COLUMNS", "LINES", "HYDRA_FULL_ERROR", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **changes}


def autolrs(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `autolrs ARGUMENTS` to its end, forked from a process that has its imports behind it.

    `changes` are environment variables.
    """
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        process = warm.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(["autolrs", *arguments], process.returncode, *texts)


def start(*arguments: str, cwd: Path, cold: bool = False, **changes: str) -> subprocess.Popen[str]:
    """Start `autolrs ARGUMENTS` in a process group of its own; `cold`: by a new interpreter.

    `changes` are environment variables.
    """
    return (warm.COLD if cold else warm.Popen)(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(
    happened: Callable[[], Any], process: subprocess.Popen[Any], patience: float = PATIENCE_SECONDS
) -> None:
    """Return when `happened()` is true; fail if the process ends first, or after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not happened():
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def wait_for_event(directory: Path, name: str, process: subprocess.Popen[Any]) -> None:
    """Return when the journal in `directory` holds an event `name`."""
    journal = directory / "journal.jsonl"
    wait_until(lambda: journal.exists() and any(r["event"] == name for r in read_journal(journal)), process)


class Terminal:
    """`autolrs ARGUMENTS` on a pseudo-terminal of 80 x 24, which it controls: Ctrl-C typed there reaches it.

    Its output is read all the time, as a terminal does.
    """

    def __init__(self, *arguments: str, cwd: Path, cold: bool = False, **changes: str) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.settings_before = self.settings_after = termios.tcgetattr(self._slave)
        self.closed = False
        self._output = bytearray()
        self.process = (warm.COLD if cold else warm.Popen)(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(**{"TERM": "xterm-256color", **changes}),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=warm.take_terminal,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return self._output.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def hang_up(self) -> None:
        """Close the terminal while the process runs, as a connection does that breaks."""
        self.closed = True
        os.close(self._slave)
        os.close(self._master)

    def wait(self) -> int:
        """Return the exit code, once everything printed has been read."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """Read what is left; end the process if it still runs."""
        if self.closed:
            return
        self.closed = True
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.settings_after = termios.tcgetattr(self._slave)
        os.close(self._slave)
        self._reader.join(PATIENCE_SECONDS)  # reading ends when the last slave end is closed
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 4096)
            except OSError:
                return
            if not chunk:
                return
            self._output += chunk


def interrupt_group(process: subprocess.Popen[Any]) -> None:
    """Send SIGINT to the process and its children, as Ctrl-C in a terminal does."""
    os.killpg(process.pid, signal.SIGINT)
