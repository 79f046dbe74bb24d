"""Where a screen's bytes go, without ever waiting for a terminal that takes none."""

from __future__ import annotations

import io
import os
import select
import time
from contextlib import suppress
from typing import IO

# A terminal that takes nothing any more (Ctrl-S, a connection that hangs) must not hold up the exit; a pipe's reader
# (`| less`) is waited for longer, since it would miss the end.
TERMINAL_PATIENCE_SECONDS, PIPE_PATIENCE_SECONDS = 2.0, 30.0


# A pipe that is ready takes this many bytes without waiting (POSIX).
PIECE = 512


class Outlet:
    """Write text to a stream, past its buffer, so that no lock of the stream is ever held while waiting.

    What the reader does not take stays pending. A terminal is opened anew, in a mode of its own in which writing
    never waits; pipes and files are asked before each piece; streams without a descriptor take it by `write`.

    Args:
        stream: standard output, usually; what it has buffered is flushed first.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._pending = b""
        self._fd = _descriptor(stream)
        self._own = _open_anew(self._fd)
        self.waiting_since: float | None = None
        """`time.monotonic()` since when the reader takes nothing; None: it does."""
        self.gone = False
        """Nobody reads any more; everything is dropped."""
        with suppress(OSError, ValueError):
            stream.flush()

    @property
    def patience(self) -> float:
        """Seconds to wait at the end for a reader that takes nothing."""
        piped = self._fd is not None and self._own is None
        return PIPE_PATIENCE_SECONDS if piped else TERMINAL_PATIENCE_SECONDS

    @property
    def out_of_patience(self) -> bool:
        """Whether the reader has taken nothing for too long."""
        since = self.waiting_since
        return since is not None and time.monotonic() - since > self.patience

    def write(self, text: str) -> None:
        """Send `text`, or keep what is not taken for `push`."""
        self._pending += text.encode(self._encoding, "backslashreplace")
        self.push()

    def push(self) -> bool:
        """Try to send what is pending; return whether all of it is out."""
        while self._pending and not self.gone:
            self.waiting_since = self.waiting_since or time.monotonic()
            try:
                sent = self._send(self._pending)
            except BlockingIOError:
                return False
            except (OSError, ValueError):  # the terminal is closed, the pipe broken
                self.gone = True
                break
            self._pending = self._pending[sent:]
            self.waiting_since = None
        self._pending = b""
        self.waiting_since = None
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        if self._own is not None:
            os.close(self._own)
            self._own = None
            self._fd = None
            self.gone = True

    def _send(self, data: bytes) -> int:
        if self._own is not None:
            return os.write(self._own, data)
        if self._fd is not None:
            _require_ready(self._fd)
            return os.write(self._fd, data[:PIECE])
        self._stream.write(data.decode(self._encoding))
        self._stream.flush()
        return len(data)


def _descriptor(stream: IO[str]) -> int | None:
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, AttributeError, ValueError):
        return None


def _require_ready(fd: int) -> None:
    if hasattr(select, "poll"):  # not on Windows
        asked = select.poll()
        asked.register(fd, select.POLLOUT)
        if not asked.poll(0):
            raise BlockingIOError


def _open_anew(fd: int | None) -> int | None:
    """Open the terminal behind `fd` in non-blocking mode; None: it is not a terminal, or cannot be opened."""
    try:
        if fd is None or not os.isatty(fd):
            return None
        return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, AttributeError):
        return None
