"""Stopping cleanly: signals and the time limit ask, the loop obeys after the step it is in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from autolrs_cli.exit_codes import EndCause
from autolrs_cli.signals import STOPPING, handling

REASONS = {
    **{EndCause.of_signal(number): number.name for number in STOPPING},
    EndCause.TIME_LIMIT: "max_seconds",
}
_ASKABLE = tuple(REASONS)


class RunInterrupted(Exception):  # noqa: N818 - a request that was obeyed, not an error
    """The run was asked to stop."""

    def __init__(self, cause: EndCause) -> None:
        self.cause = cause
        super().__init__(REASONS[cause])

    @property
    def reason(self) -> str:
        """Who asked, in a person's words."""
        return REASONS[self.cause]


class StopRequest:
    """Whether the run should stop, asked once a step.

    Args:
        deadline: `time.perf_counter()` at which the run's time is over; None: no limit.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline
        self._cause: EndCause | None = None

    @property
    def cause(self) -> EndCause | None:
        """Who asked for a stop; None: nobody yet."""
        return self._cause

    def check(self) -> None:
        """Return, or obey.

        Raises:
            RunInterrupted: if a stop was asked for.
        """
        self._watch_clock()
        if self._cause is not None:
            raise RunInterrupted(self._cause)

    def _watch_clock(self) -> None:
        if self._cause is None and self._deadline is not None and time.perf_counter() > self._deadline:
            self._cause = EndCause.TIME_LIMIT

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Take the signals that ask to stop as requests; a second SIGINT raises KeyboardInterrupt at once."""
        with handling(self._asked):
            yield self

    def _asked(self, number: int, _: FrameType | None) -> None:
        asked = EndCause.of_signal(number)
        if self._cause is EndCause.SIGINT and asked is EndCause.SIGINT:
            raise KeyboardInterrupt
        self._cause = self._cause or asked


class AgreedStop(StopRequest):
    """The same for one of several processes: obeyed by all after the same step, whichever of them was asked.

    A `Rider` of each step's message.

    Args:
        deadline: `time.perf_counter()` at which the run's time is over; None: this process does not watch it.
    """

    def __init__(self, deadline: float | None = None) -> None:
        super().__init__(deadline)
        self._agreed: EndCause | None = None

    def check(self) -> None:
        """Return, or obey what all know.

        Raises:
            RunInterrupted: if they know that some process was asked to stop.
        """
        if self._agreed is not None:
            self._cause = self._agreed
            raise RunInterrupted(self._agreed)

    def says(self) -> list[float]:
        """Return what this process was asked for: a 1 at the place of the cause."""
        self._watch_clock()
        return [float(self._cause is cause) for cause in _ASKABLE]

    def hears(self, sums: Sequence[float]) -> None:
        """Take in what all were asked for."""
        asked = [cause for cause, count in zip(_ASKABLE, sums, strict=True) if count]
        self._agreed = asked[0] if asked else None
