"""Memory of the machine, sampled outside of the pure view."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import psutil

from autolrs_cli.dashboard.run_state import Machine


def sample(process_id: int | None = None) -> Machine | None:
    """Return the memory of a process and of the host, and of this process's CUDA device if it uses one.

    Args:
        process_id: None: this process.

    Returns:
        None if the process is gone or may not be looked at.
    """
    try:
        own = psutil.Process(process_id).memory_info().rss
        host = psutil.virtual_memory()
    except (psutil.Error, OSError):
        return None
    used, total = _device() if process_id in (None, os.getpid()) else (None, None)
    return Machine(own, host.total - host.available, host.total, used, total)


def _device() -> tuple[int | None, int | None]:
    """Return used and total bytes of the CUDA device in use; torch is asked only if something else imported it."""
    torch = sys.modules.get("torch")
    with suppress(
        Exception
    ):  # torch may be half imported, the device busy or lost: it is only a figure on a screen
        if torch is not None and torch.cuda.is_initialized():
            free, total = torch.cuda.mem_get_info()
            return total - free, total
    return None, None
