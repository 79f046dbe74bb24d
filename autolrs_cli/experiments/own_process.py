"""Processes that an experiment starts: they run the code that started them, whatever lies in the current folder."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from autolrs_cli.signals import STOPPING

# As -P, and inherited: Hydra's launchers start workers of their own, with `python -m` and `python -c`.
_SAFE_PATH = "PYTHONSAFEPATH"
_PATH = "PYTHONPATH"
_ROOT = Path(__file__).parents[2]
WATCHED = "AUTOLRS_WATCHED"


def python_module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules.

    Without -P, `python -m` looks in the current folder first: a random.py there would be taken for Python's own, and
    another version of autolrs there would be run, unsaid.
    """
    return [sys.executable, "-P", "-m", name, *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment, with which neither a child nor what it starts looks in the current folder."""
    changed = {**os.environ, _SAFE_PATH: "1"}
    if _only_here():
        changed[_PATH] = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get(_PATH))))
    return changed


def watched_environment() -> dict[str, str]:
    """Return the environment of a process that is to end with this one, which holds its standard input as a pipe."""
    return {**environment(), WATCHED: "1"}


def stop_with_the_watcher() -> None:
    """Ask this process to stop, as by SIGTERM, once the one that watches it has ended, however it ended.

    A process group or a parent's number does not tell: a launcher's worker may be killed alone, or adopted.
    """
    if os.environ.pop(WATCHED, None) is not None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # Ray's workers block SIGINT, and hand that on
        when_standard_input_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))


def when_standard_input_ends(act: Callable[[], None]) -> None:
    """Call `act`, in a thread, once nobody holds the other end of this process's standard input any more."""
    file = os.dup(sys.stdin.fileno())

    def wait() -> None:
        while os.read(file, 1):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()


def _only_here() -> bool:
    """Tell whether this is `python -m autolrs_cli` in a source tree, which a child would not find by itself."""
    return not sys.flags.safe_path and sys.path[:1] == [str(_ROOT)] and str(_ROOT) not in sys.path[1:]
