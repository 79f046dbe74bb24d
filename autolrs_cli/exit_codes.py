"""How a run can end, and the exit codes of the commands: what scripts and readers of records rely on."""

from __future__ import annotations

import signal
from enum import IntEnum, StrEnum
from typing import Literal

RunStatus = Literal["done", "failed", "interrupted"]


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """Wrong usage or configuration: nothing was started."""
    TIME_LIMIT = 75
    """Stopped by `runtime.max_seconds`; can be resumed."""
    SIGINT = 130
    """128 and the signal's number, as shells have it; can be resumed, like the next one."""
    SIGTERM = 143
    """And for the signals that are taken like it, and a process that was lost: batch systems know this code."""

    @classmethod
    def of_signal(cls, number: int) -> ExitCode:
        """Return the code of a command that one of `signals.STOPPING` stopped."""
        return cls.SIGINT if number == signal.SIGINT else cls.SIGTERM


RESUMABLE = (ExitCode.SIGINT, ExitCode.SIGTERM, ExitCode.TIME_LIMIT)
"""A run that ended with one of these can go on."""


class EndCause(StrEnum):
    """Why a run ended: one word in its journal and summary, beside the sentence for a person."""

    DONE = "done"
    SIGINT = "sigint"
    SIGTERM = "sigterm"
    SIGHUP = "sighup"
    """The terminal or connection is gone; this and the next three are obeyed as SIGTERM is."""
    SIGUSR1 = "sigusr1"
    SIGUSR2 = "sigusr2"
    SIGXCPU = "sigxcpu"
    TIME_LIMIT = "time_limit"
    """`runtime.max_seconds` is over."""
    PROCESS_LOST = "process_lost"
    """One of the processes that train together was killed, or does not answer; the run can be resumed."""
    DIVERGED = "diverged"
    """Its LRs were too high: a result, not an accident."""
    OUT_OF_MEMORY = "out_of_memory"
    UNWRITABLE = "unwritable"
    """The run directory took no more: a full disk, a folder that is gone or closed."""
    BAD_DATA = "bad_data"
    """An example could not be read, or had nothing to learn from."""
    WORKER_DIED = "worker_died"
    """A process that reads data was killed."""
    DAMAGED_RECORD = "damaged_record"
    """A file of the run that it had to go back to is not whole."""
    CONFIGURATION = "configuration"
    """Settings, model or libraries do not go together, which showed only while running."""
    CODE_ERROR = "code_error"
    """An exception that nobody foresaw, in this program or in a recipe."""
    OTHER = "other"
    """None of these."""

    @property
    def status(self) -> RunStatus:
        """How such a run ended, in one of three words."""
        if self is EndCause.DONE:
            return "done"
        return "interrupted" if self in _INTERRUPTED else "failed"

    @property
    def exit_code(self) -> ExitCode:
        """What the command that ran it returns."""
        if self is EndCause.DONE:
            return ExitCode.DONE
        return _INTERRUPTED.get(self, ExitCode.FAILED)

    @classmethod
    def of_signal(cls, number: int) -> EndCause:
        """Return the cause that one of `signals.STOPPING` is."""
        return cls(signal.Signals(number).name.lower())


_INTERRUPTED = {
    EndCause.SIGINT: ExitCode.SIGINT,
    EndCause.SIGTERM: ExitCode.SIGTERM,
    EndCause.SIGHUP: ExitCode.SIGTERM,
    EndCause.SIGUSR1: ExitCode.SIGTERM,
    EndCause.SIGUSR2: ExitCode.SIGTERM,
    EndCause.SIGXCPU: ExitCode.SIGTERM,
    EndCause.TIME_LIMIT: ExitCode.TIME_LIMIT,
    EndCause.PROCESS_LOST: ExitCode.SIGTERM,
}
