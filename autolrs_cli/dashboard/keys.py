"""Single keys from the terminal, as they are pressed, which is given back as it was."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.signals import LIKE_TERM, handling

try:
    import termios
except ImportError:  # not on Windows
    termios = None  # type: ignore[assignment]

NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x04": "q",  # Ctrl-D
}
LOCAL_FLAGS = 3  # place in what `tcgetattr` returns
# The bytes of one key come together, unless a slow connection splits them.
REST_SECONDS = 0.05


def named(text: str) -> list[str]:
    """Return the keys in what a terminal sent: up, down, enter, escape, or the character."""
    keys: list[str] = []
    while text:
        length = next((n for n in (3, 1) if text[:n] in NAMES), 1)
        if length == 1 and text[0] == "\x1b" and text[1:2] not in ("", "\x1b"):
            # Another key's sequence, of which nothing may be taken for a command: it ends with a letter or "~".
            rest = text[2:]
            text = rest.lstrip("0123456789;")[1:] if text[1] in "[O" else rest
            continue
        keys.append(NAMES.get(text[:length], text[:length]))
        text = text[length:]
    return keys


class Keys:
    """What is pressed, read from a terminal that no longer waits for whole lines.

    Args:
        fd: descriptor of the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def wait(self, seconds: float) -> list[str]:
        """Return the keys that were pressed, as soon as there are any; none after `seconds`."""
        take_keys_one_by_one(self._fd)  # anew after Ctrl-Z and fg: the shell sets what it likes
        if not select.select([self._fd], [], [], seconds)[0]:
            return []
        text = self._read()
        if text == "\x1b" and select.select([self._fd], [], [], REST_SECONDS)[0]:
            text += self._read()
        return named(text) if text else ["q"]

    def _read(self) -> str:
        """Return what there is; empty: the terminal is gone."""
        try:
            return os.read(self._fd, 1024).decode(errors="ignore")
        except OSError:
            return ""


def take_keys_one_by_one(fd: int) -> None:
    """Let the terminal hand over each key at once, unseen; Ctrl-C stays a signal."""
    if os.tcgetpgrp(fd) != os.getpgrp():  # in the background that would stop the process
        return
    mode = termios.tcgetattr(fd)
    if mode[LOCAL_FLAGS] & termios.ICANON:
        mode[LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)


@contextmanager
def pressed_keys() -> Iterator[Keys | None]:
    """Take keys from standard input while inside; None: it is no terminal of ours."""
    fd = _own_terminal()
    if fd is None:
        yield None
        return
    before = termios.tcgetattr(fd)
    try:
        with handling(_leave, (signal.SIGTERM, *LIKE_TERM)):
            take_keys_one_by_one(fd)
            yield Keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _own_terminal() -> int | None:
    try:
        fd = sys.stdin.fileno()
        ours = termios is not None and os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return None
    return fd if ours else None


def _leave(number: int, _: FrameType | None) -> None:
    """End by an exception, which gives the terminal back, where the signal would end the process at once."""
    raise SystemExit(ExitCode.of_signal(number))
