"""What others print while the live view is up."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TextIO


class Aside(io.TextIOBase, TextIO):
    """A stream whose whole lines are handed on.

    Args:
        original: what it stands for.
        say: takes whole lines, and returns at once.
    """

    def __init__(self, original: TextIO, say: Callable[[str], None]) -> None:
        self._original = original
        self._say = say
        self._rest = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the original."""
        return self._original.encoding

    def isatty(self) -> bool:
        """Say whether a person would see it."""
        return self._original.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Hand on what is whole lines by now."""
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._say(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Hand on an unfinished line too."""
        if self._rest:
            self._say(f"{self._rest}\n")
            self._rest = ""
