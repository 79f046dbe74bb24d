"""Errors that a person can act on: the invariant, what was given, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

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

    exit_code = 1


class ConfigError(AutoLRSError, ValueError):
    """Settings or data with which a run must not start; carries every problem found, not only the first.

    Args:
        problems: one complete sentence or two per problem, each naming its key and the way out.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        given = (problems,) if isinstance(problems, str) else problems
        self.problems: tuple[str, ...] = tuple(map(presentable, given))
        super().__init__("\n".join(self.problems))


class NonFiniteError(AutoLRSError, ArithmeticError):
    """A number that must be finite is NaN or infinite."""


class TrainingError(AutoLRSError, RuntimeError):
    """Training cannot go on; everything recorded so far is kept."""
