"""The process that imports what `autolrs` imports, then stands still and forks for each command: see warm.py."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
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
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from autolrs_cli import app
from autolrs_cli.runner.code_version import code_version

sys.path.insert(0, str(Path(__file__).parent))
import quick_hydra
import warm

del sys.path[0]  # not on the path of a command

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
_CLONE_PARENT = 0x8000
_CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def _import_all() -> None:
    """Import what commands import, and do what is done once in a process: read Hydra's plugins, and our own code."""
    quick_hydra.quicken()
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
        header, files, _, _ = socket.recv_fds(connection, warm.LENGTH, 3)
        if not header:
            os._exit(0)
        request = json.loads(warm.receive(connection, int.from_bytes(header)))
        child = _fork_a_sibling()
        if child == 0:
            return _become(request, files, connection)
        for file in files:
            os.close(file)


def _fork_a_sibling() -> int:
    """Fork as `os.fork` does, but a child of this process's parent, which waits for it and gets its exit code."""
    ctypes.pythonapi.PyOS_BeforeFork()
    libc = ctypes.PyDLL(None)  # holds the interpreter's lock
    child = libc.syscall(warm.CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
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
    if request["session"]:
        os.setsid()
    command: list[str] = request["command"]
    shared = any(word.startswith("runtime.processes=") for word in command)
    if command[0] == warm.LAUNCHER or STARTING_OTHERS.intersection(command) or shared:
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            connection.close()
            _let_go(files)
            return _serve(theirs)
        theirs.close()
        warm.FORKS = warm.Forks(ours)
        subprocess.Popen = warm.Popen  # type: ignore[misc]
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    if request["terminal"]:
        warm.take_terminal()
    if request["limit"]:
        warm.Limited(*request["limit"])()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _start_as_python_does(set(request["ignored"]))
    connection.sendall(os.getpid().to_bytes(warm.LENGTH))  # from here on it can be sent signals
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
