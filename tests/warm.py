"""Commands of `autolrs` forked from a process that has its imports behind it: imports are most of a short one.

Each command is a process of its own all the same, a child of the process that asked, with its own folder, environment,
files, signals and exit code. A command that starts others (a sweep its jobs) has them forked likewise. What a test says
of imports or of the start of Python needs a fresh interpreter instead: `processes.start(..., cold=True)`.
"""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLD = subprocess.Popen
LAUNCHER = "autolrs_cli.experiments.launchers.hydra_process"
LENGTH = 8
# How to fork a sibling: the system call's number.
CLONE = {"x86_64": 56, "aarch64": 220}
_PATIENCE_SECONDS = 300
_PROCESS = str(Path(__file__).with_name("warm_process.py"))
_WARM_ON_THIS_SYSTEM = sys.platform == "linux" and platform.machine() in CLONE


def take_terminal() -> None:
    """Make standard input the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@dataclass(frozen=True)
class Limited:
    """As a `preexec_fn`: a limit of the system on the process to come, for example on the size of a file."""

    limit: int
    most: int

    def __call__(self) -> None:
        resource.setrlimit(self.limit, (self.most, self.most))


class Popen(COLD):  # type: ignore[type-arg]
    """`subprocess.Popen`, for which `python [-P] -m autolrs_cli...` is forked from a process with its imports done."""

    def _execute_child(self, *args: Any) -> None:
        # Its order of parameters is that of the running Python.
        given = inspect.signature(COLD._execute_child).bind(self, *args).arguments  # type: ignore[attr-defined]
        command = _module_and_arguments(given["args"])
        before = given["preexec_fn"]
        environment = dict(os.environ if given["env"] is None else given["env"])
        if (
            not _WARM_ON_THIS_SYSTEM
            or command is None
            or not (before in (None, take_terminal) or isinstance(before, Limited))
            or environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
        ):
            super()._execute_child(*args)  # type: ignore[misc]
            return
        request = {
            "command": command,
            "cwd": os.fspath(given["cwd"] or Path.cwd()),
            "environment": environment,
            "session": given["start_new_session"],
            "terminal": before is take_terminal,
            "limit": (before.limit, before.most) if isinstance(before, Limited) else None,
            "ignored": [n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN],
        }
        pipes = {
            name: given[name]
            for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        }
        theirs = (pipes["p2cread"], pipes["c2pwrite"], pipes["errwrite"])
        self.pid = FORKS.ask(request, [own if file == -1 else file for own, file in enumerate(theirs)])
        self._child_created = True
        self._close_pipe_fds(**pipes)  # type: ignore[attr-defined]


def _module_and_arguments(command: Any) -> list[str] | None:
    """Return what follows `python [-P] -m` where that is ours."""
    words = [str(word) for word in command] if isinstance(command, list | tuple) else []
    if words[1:2] == ["-P"]:
        del words[1]
    ours = words[:2] == [sys.executable, "-m"] and words[2:3] in (["autolrs_cli"], [LAUNCHER])
    return words[2:] if ours else None


class Forks:
    """Asks a process that stands still after its imports for copies of it, which become children of this process."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._connection = connection
        self._owner = os.getpid()
        self._one_at_a_time = threading.Lock()

    def ask(self, request: dict[str, Any], files: list[int]) -> int:
        """Return the process id of a copy that does what is requested.

        Args:
            files: what are its standard input, output and error.
        """
        with self._one_at_a_time:
            connection = self._connected()
            message = json.dumps(request).encode()
            socket.send_fds(connection, [len(message).to_bytes(LENGTH)], files)
            connection.sendall(message)
            return int.from_bytes(receive(connection, LENGTH))

    def _connected(self) -> socket.socket:
        """Return the connection to that process, started at the first request."""
        if self._connection is None:
            self._connection, theirs = socket.socketpair()
            self._connection.settimeout(_PATIENCE_SECONDS)
            COLD(
                [sys.executable, "-P", _PROCESS, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries that warn when they are imported
            )
            theirs.close()
        assert self._owner == os.getpid(), "the copies would be children of another process"
        return self._connection


FORKS = Forks()


def receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
