"""Taking signals for a while, and giving them back."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# A connection that is gone, batch systems shortly before the time is over, and the limit on CPU time.
_LIKE_TERM = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
LIKE_TERM = tuple(signal.Signals[name] for name in _LIKE_TERM if name in signal.Signals.__members__)
"""Signals that end a process by default and are taken as SIGTERM is, unless they are ignored (`nohup`)."""
STOPPING = (signal.SIGINT, signal.SIGTERM, *LIKE_TERM)


AGAIN_SECONDS = 0.05
"""After which a dropped Ctrl-C comes once more: ours."""


def keep_interrupts() -> None:
    """Let no Ctrl-C be lost.

    Python drops an exception that falls into a callback of its own, as one does now and then while modules are
    imported: the signal then comes once more, a little later.
    """
    earlier = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            earlier(dropped)
            return
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        with suppress(RuntimeError):  # the process ends anyway
            again.start()

    sys.unraisablehook = hook


@contextmanager
def handling(
    handler: Callable[[int, FrameType | None], Any], numbers: tuple[signal.Signals, ...] = STOPPING
) -> Iterator[None]:
    """Let `handler` take these signals; afterwards they go where they went before.

    Those of `LIKE_TERM` are left alone where they were ignored, and do nothing more once one of `numbers` has come:
    they come again and again (SIGXCPU every second, SIGHUP from kernel and shell), and must not kill a process that
    is writing down how it ended.
    """
    came: list[int] = []

    def noting(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler(number, frame)

    taken = [each for each in numbers if each not in LIKE_TERM or not _is_ignored(each)]
    before = {number: signal.signal(number, noting) for number in taken}
    try:
        yield
    finally:
        for number, earlier in before.items():
            if came and number in LIKE_TERM:
                signal.signal(number, _heard_already)
                # A leaving interpreter gives up its handlers, but lets what is ignored be.
                atexit.register(signal.signal, number, signal.SIG_IGN)
            else:
                signal.signal(number, earlier)


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _heard_already(_: int, __: FrameType | None) -> None:
    """Do nothing; unlike `SIG_IGN`, this is not inherited by other programs, and not left alone by `handling`."""
