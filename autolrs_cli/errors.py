"""Errors that a person can act on: the invariant, what was given, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from autolrs_cli.exit_codes import EndCause, ExitCode

# What a person gave is quoted in messages; more than this of it helps nobody.
_LONGEST = 1_500
_SHOWN_AT_END = 300
# Control characters (line ends and tabs aside), and those that turn the direction of writing.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def presentable(text: str) -> str:
    """Return `text` so that a terminal can show it: not too long, and nothing in it that would command the terminal."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - _SHOWN_AT_END]} [...] {text[-_SHOWN_AT_END:]}"
    return _INVISIBLE.sub(lambda found: repr(found[0])[1:-1], text)


class AutoLRSError(Exception):
    """Base of every error that is shown to a person without a traceback."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    cause: ClassVar[EndCause] = EndCause.OTHER
    """Why a run ends that this error stops."""


class ConfigError(AutoLRSError, ValueError):
    """Settings or data with which a run must not start; carries every problem found, not only the first.

    Args:
        problems: one complete sentence or two per problem, each naming its key and the way out.
    """

    exit_code = ExitCode.USAGE
    cause = EndCause.CONFIGURATION

    def __init__(self, problems: str | Sequence[str]) -> None:
        given = (problems,) if isinstance(problems, str) else problems
        self.problems: tuple[str, ...] = tuple(map(presentable, given))
        super().__init__("\n".join(self.problems))


class UnfitGroupsError(ConfigError):
    """An optimizer cannot train these parameter groups: it depends on the recipe whether it can be used."""


class RunInUseError(ConfigError):
    """Another process works on the run.

    Args:
        problem: the sentence for a person.
        holder: the process, as it wrote itself down; None: it did not.
    """

    def __init__(self, problem: str, holder: str | None = None) -> None:
        super().__init__(problem)
        self.holder = holder


class NonFiniteError(AutoLRSError, ArithmeticError):
    """A number that must be finite is NaN or infinite."""


class TrainingError(AutoLRSError, RuntimeError):
    """Training cannot go on; everything recorded so far is kept."""


class TrainingDivergedError(TrainingError):
    """The LRs were too high: the loss of kept steps is not finite, or far above the untrained model's."""

    cause = EndCause.DIVERGED


class UnwritableError(TrainingError):
    """The run directory takes no more."""

    cause = EndCause.UNWRITABLE


class UnusableDataError(TrainingError):
    """Data that was good when the run began cannot be trained on."""

    cause = EndCause.BAD_DATA


class WorkerDiedError(TrainingError):
    """A process that reads data is gone."""

    cause = EndCause.WORKER_DIED


class DamagedRecordError(TrainingError):
    """A file of the run that it must go back to is not whole."""

    cause = EndCause.DAMAGED_RECORD


class LostProcessError(AutoLRSError, RuntimeError):
    """One of the processes that train together has ended, or does not answer; nothing can be agreed on any more.

    Args:
        problem: the sentence for a person.
        found: why it ended, if it said so.
    """

    def __init__(self, problem: str, found: EndCause = EndCause.PROCESS_LOST) -> None:
        super().__init__(problem)
        self.found = found
