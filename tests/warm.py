"""A process that has imported what `autolrs` imports, and forks for each command: imports are most of a short one.

Each command is a process of its own all the same, with its own folder, environment, files and exit code. What a test
says of imports, terminals, signals or the start of Python needs a fresh interpreter instead: `processes.start`.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PRELOADED = (
    "botorch.acquisition",
    "botorch.fit",
    "botorch.models",
    "hydra.main",
    "optuna",
    "sklearn.datasets",
    "torch",
    "torchvision.models",
    "torchvision.transforms.v2",
    "transformers.models.bert.modeling_bert",
    "transformers.models.marian.modeling_marian",
    "autolrs_cli.app",
    "autolrs_cli.runner.execute",
)
_LENGTH = 8


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int


class WarmProcess:
    """The parent of the commands, started at the first one."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def run(
        self,
        arguments: tuple[str, ...],
        cwd: Path,
        environment: dict[str, str],
        stdout: int,
        stderr: int,
        patience: float,
    ) -> Ended:
        """Run `autolrs ARGUMENTS`, its output going to two open files, to its end.

        Raises:
            TimeoutError: if that takes longer than `patience` seconds; it is killed then.
        """
        connection = self._connection()
        request = json.dumps([list(arguments), str(cwd), environment, patience]).encode()
        with Path(os.devnull).open() as nothing:
            socket.send_fds(connection, [len(request).to_bytes(_LENGTH)], [nothing.fileno(), stdout, stderr])
            connection.sendall(request)
        answer = json.loads(_receive(connection, int.from_bytes(_receive(connection, _LENGTH))))
        if answer is None:
            raise TimeoutError(f"autolrs {' '.join(arguments)} took more than {patience} seconds")
        return Ended(answer)

    def _connection(self) -> socket.socket:
        if self._server is None or self._server.poll() is not None:
            ours, theirs = socket.socketpair()
            self._server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries that warn when they are imported
            )
            theirs.close()
            self._socket = ours
            atexit.register(self._server.kill)
        assert self._socket is not None
        return self._socket


WARM = WarmProcess()


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _serve(connection: socket.socket) -> None:
    """Fork for each request; return in the child, ready to be the command."""
    for name in PRELOADED:
        __import__(name)
    while True:
        header, files, _, _ = socket.recv_fds(connection, _LENGTH, 3)
        if not header:
            os._exit(0)
        arguments, cwd, environment, patience = json.loads(_receive(connection, int.from_bytes(header)))
        child = os.fork()
        if child == 0:
            connection.close()
            os.setsid()
            for target, file in enumerate(files):
                os.dup2(file, target)
                os.close(file)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["autolrs", *arguments]
            # Read when an interpreter starts, which this one has.
            if encoding := environment.get("PYTHONIOENCODING"):
                sys.stdout.reconfigure(encoding=encoding)
                sys.stderr.reconfigure(encoding=encoding)
            return
        for file in files:
            os.close(file)
        answer = json.dumps(_wait(child, patience)).encode()
        connection.sendall(len(answer).to_bytes(_LENGTH) + answer)


def _wait(child: int, patience: float) -> int | None:
    """Return the exit code as `subprocess` has it; None: it took too long, and was killed."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        _, status = os.waitpid(child, 0)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("autolrs_cli", run_name="__main__", alter_sys=True)
