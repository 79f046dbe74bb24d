"""Errors that a person can act on: the invariant, what was given, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


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
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class NonFiniteError(AutoLRSError, ArithmeticError):
    """A number that must be finite is NaN or infinite."""


class TrainingError(AutoLRSError, RuntimeError):
    """Training cannot go on; everything recorded so far is kept."""
