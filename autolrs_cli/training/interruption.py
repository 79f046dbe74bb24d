"""Stopping cleanly: signals and the time limit ask, the loop obeys after the step it is in."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "max_seconds": 75}


class RunInterrupted(Exception):  # noqa: N818 - a request that was obeyed, not an error
    """The run was asked to stop; `reason` is a key of `EXIT_CODES`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class StopRequest:
    """Whether the run should stop, asked once a step.

    Args:
        deadline: `time.perf_counter()` at which the run's time is over; None: no limit.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Who asked for a stop, a key of `EXIT_CODES`; None: nobody yet."""
        return self._reason

    def check(self) -> None:
        """Return, or obey.

        Raises:
            RunInterrupted: if a stop was asked for.
        """
        if self._reason is None and self._deadline is not None and time.perf_counter() > self._deadline:
            self._reason = "max_seconds"
        if self._reason is not None:
            raise RunInterrupted(self._reason)

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Take SIGINT and SIGTERM as requests; a second SIGINT raises KeyboardInterrupt at once."""
        before = {s: signal.signal(s, self._asked) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _: FrameType | None) -> None:
        if self._reason == "SIGINT" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._reason = self._reason or signal.Signals(number).name
