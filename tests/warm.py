"""A process that has imported what `autolrs` imports, and forks for each command: imports are most of a short one.

Each command is a process of its own all the same, a child of the process that asked, with its own folder, environment,
files, signals and exit code. A command that starts others (a sweep its jobs) has them forked likewise. What a test says
of imports or of the start of Python needs a fresh interpreter instead: `processes.start(..., cold=True)`.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import platform
import runpy
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from autolrs_cli import app
from autolrs_cli.runner.code_version import code_version

PRELOADED = (
    "botorch.acquisition",
    "botorch.fit",
    "botorch.models",
    "matplotlib.figure",
    "optuna",
    "sklearn.datasets",
    "torch",
    "torchvision.models",
    "torchvision.transforms.v2",
    "transformers.models.bert.modeling_bert",
    "transformers.models.marian.modeling_marian",
)
OURS = ("autolrs_cli", "autolrs_recipes")
STARTING_OTHERS = {"sweep", "tune", "reproduce", "-m", "--multirun"}
COLD = subprocess.Popen
_LAUNCHER = "autolrs_cli.experiments.sweep.launcher_process"
_LENGTH = 8
_PATIENCE_SECONDS = 300
_CLONE_PARENT = 0x8000
_CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_CLONE = {"x86_64": 56, "aarch64": 220}
_WARM_ON_THIS_SYSTEM = sys.platform == "linux" and platform.machine() in _CLONE


def take_terminal() -> None:
    """Make standard input the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Popen(COLD):  # type: ignore[type-arg]
    """`subprocess.Popen`, for which `python [-P] -m autolrs_cli...` is forked from a process with its imports done."""

    def _execute_child(self, *args: Any) -> None:
        # Its order of parameters is that of the running Python.
        given = inspect.signature(COLD._execute_child).bind(self, *args).arguments  # type: ignore[attr-defined]
        command = _module_and_arguments(given["args"])
        environment = dict(os.environ if given["env"] is None else given["env"])
        if (
            not _WARM_ON_THIS_SYSTEM
            or command is None
            or given["preexec_fn"] not in (None, take_terminal)
            or environment.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
        ):
            super()._execute_child(*args)  # type: ignore[misc]
            return
        request = {
            "command": command,
            "cwd": os.fspath(given["cwd"] or Path.cwd()),
            "environment": environment,
            "session": given["start_new_session"],
            "terminal": given["preexec_fn"] is take_terminal,
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
    ours = words[:2] == [sys.executable, "-m"] and words[2:3] in (["autolrs_cli"], [_LAUNCHER])
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
            socket.send_fds(connection, [len(message).to_bytes(_LENGTH)], files)
            connection.sendall(message)
            return int.from_bytes(_receive(connection, _LENGTH))

    def _connected(self) -> socket.socket:
        """Return the connection to that process, started at the first request."""
        if self._connection is None:
            self._connection, theirs = socket.socketpair()
            self._connection.settimeout(_PATIENCE_SECONDS)
            COLD(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
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


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _import_all() -> None:
    """Import what commands import, and do what is done once in a process: read Hydra's plugins, and our own code."""
    for name in PRELOADED:
        importlib.import_module(name)
    for package in map(importlib.import_module, OURS):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    with initialize_config_module("autolrs_configs", version_base="1.3"):
        config = OmegaConf.to_container(compose("train", ["recipe=resnet50"]), resolve=True)
    code_version(cast(dict[str, Any], config))


def _serve(connection: socket.socket) -> list[str]:
    """Fork for each request until nobody can ask any more; return in the child, ready to be the module returned."""
    while True:
        header, files, _, _ = socket.recv_fds(connection, _LENGTH, 3)
        if not header:
            os._exit(0)
        request = json.loads(_receive(connection, int.from_bytes(header)))
        child = _fork_a_sibling()
        if child == 0:
            return _become(request, files, connection)
        for file in files:
            os.close(file)


def _fork_a_sibling() -> int:
    """Fork as `os.fork` does, but a child of this process's parent, which waits for it and gets its exit code."""
    ctypes.pythonapi.PyOS_BeforeFork()
    libc = ctypes.PyDLL(None)  # holds the interpreter's lock
    child = libc.syscall(_CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    assert child >= 0
    return int(child)


def _become(request: dict[str, Any], files: list[int], connection: socket.socket) -> list[str]:
    """Take over what the requested process has from its start; return its module and arguments.

    One that will start others leaves a copy of itself behind that forks for it: in their turn, those return here.
    """
    global FORKS
    if request["session"]:
        os.setsid()
    command: list[str] = request["command"]
    shared = any(word.startswith("runtime.processes=") for word in command)
    if command[0] == _LAUNCHER or STARTING_OTHERS.intersection(command) or shared:
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            connection.close()
            _let_go(files)
            return _serve(theirs)
        theirs.close()
        FORKS = Forks(ours)
        subprocess.Popen = Popen  # type: ignore[misc]
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    if request["terminal"]:
        take_terminal()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _start_as_python_does(set(request["ignored"]))
    connection.sendall(os.getpid().to_bytes(_LENGTH))  # from here on it can be sent signals
    connection.close()
    return command


def _let_go(files: list[int]) -> None:
    """Hold no file open that a reader waits for the end of, and leave signals to those who are meant."""
    for file in files:
        os.close(file)
    for number in _CATCHABLE:
        signal.signal(number, signal.SIG_IGN)


def _start_as_python_does(ignored: set[int]) -> None:
    for number in _CATCHABLE:
        deaf = number in ignored or number in (signal.SIGPIPE, signal.SIGXFSZ)
        signal.signal(number, signal.SIG_IGN if deaf else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app.STARTED = time.perf_counter()
    # Made anew, since they know whether what they were made for was a terminal, and could seek.
    encoding = os.environ.get("PYTHONIOENCODING") or sys.stdout.encoding
    lines = os.isatty(1)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _writer(1, encoding, "strict", lines)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2, encoding, "backslashreplace", True)  # type: ignore[misc]


def _writer(file: int, encoding: str, errors: str, lines: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(file, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=lines)


def _run(module: str, *arguments: str) -> int:
    """Do what `python -m` does; return the exit code."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return int(end.code or 0)
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End as an interpreter does, but for the objects that it takes apart one by one: that is most of its end."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()  # else the children's collections would copy every page
    _leave(_run(*_serve(socket.socket(fileno=int(sys.argv[1])))))
