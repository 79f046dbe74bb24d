"""A launcher's process ends its runs with the command that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import POLL_SECONDS


def stop_with_the_parent(files: SweepFiles) -> None:
    """Ask the runs to stop, from a thread, once `autolrs sweep` was killed: nobody would know of them."""
    threading.Thread(target=_watch, args=(files, os.getppid()), daemon=True).start()


def _watch(files: SweepFiles, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    files.ask_to_stop(signal.SIGTERM.name)
