"""Help as it is read on a terminal of any width."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help is wrapped to the terminal, wherever the source breaks its lines."""

    def __init__(self, *args: Any, help: str | None = None, **named: Any) -> None:  # noqa: A002 - click's name for it
        super().__init__(*args, help=None if help is None else unwrapped(help), **named)


def unwrapped(text: str) -> str:
    """Return `text` with the lines of each paragraph joined; indented ones, such as commands, stay as they are."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)
