"""From one frame to the next: the text that repaints only the lines that changed.

A frame ends with the cursor on the line below it. Nothing is erased before it is written over, and each repaint is
one write, so nothing flickers; the cursor is hidden only inside a write, so that no way to die leaves it hidden.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
ERASE_LINE_END, ERASE_BELOW = "\x1b[K", "\x1b[J"


class Painter:
    """Make terminal output of frames.

    Args:
        console: whose colours are used.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[str] = []
        self._widths: list[int] = []
        self._size = (0, 0)

    def paint(self, frame: Sequence[Text], size: tuple[int, int], above: str = "") -> str:
        """Return what turns the last frame into `frame`.

        Args:
            frame: lines narrower than the terminal.
            size: columns and rows of the terminal.
            above: whole lines to leave in the scroll-back, above the frame.
        """
        lines = self.rendered(frame, size[0])
        text = self._back(size) if above or size != self._size else ""
        if text or above:
            text += ERASE_BELOW + above.replace("\n", "\r\n")
            self._lines = []
        elif self._lines:
            text = _up(len(self._lines))
        before = self._lines
        for number, line in enumerate(lines):
            if number >= len(before) or before[number] != line:
                # Behind a full line the cursor still stands on its last character.
                text += line + (ERASE_LINE_END if frame[number].cell_len < size[0] else "")
            text += "\r\n"
        if len(before) > len(lines):
            text += ERASE_BELOW
        if not above and lines == before:
            return ""
        self._lines, self._widths, self._size = lines, [each.cell_len for each in frame], size
        return f"{HIDE}{text}{SHOW}"

    def forget(self) -> None:
        """Begin anew below the cursor: something else was written."""
        self._lines, self._widths = [], []

    def rendered(self, lines: Sequence[Text], width: int) -> list[str]:
        """Return lines with the escape sequences of their styles."""
        if not lines:
            return []
        return self.text(Text("\n").join(lines), width, crop=True).split("\n")

    def text(self, content: RenderableType, width: int, *, crop: bool = False) -> str:
        """Return `content` with escape sequences; `crop`: cut instead of wrapped."""
        inner = self._inner(width)
        if crop:
            inner.print(content, end="", no_wrap=True, overflow="crop", highlight=False)
        else:
            # Words are kept whole on a terminal; a log's lines are the reader's to fold.
            inner.print(content, highlight=False, soft_wrap=not self._console.is_terminal, crop=False)
        assert isinstance(inner.file, io.StringIO)
        return inner.file.getvalue()

    def _inner(self, width: int) -> Console:
        """Return a console like ours that writes into memory."""
        return Console(
            file=io.StringIO(),
            force_terminal=self._console.is_terminal,
            color_system=self._console.color_system,  # type: ignore[arg-type]
            no_color=self._console.no_color,
            width=width,
            legacy_windows=False,
        )

    def _back(self, size: tuple[int, int]) -> str:
        """Return the way to the first line of the last frame, which a narrower terminal has wrapped."""
        width, height = size
        if width >= self._size[0]:
            rows = len(self._lines)
        else:
            rows = sum(max(1, math.ceil(each / max(width, 1))) for each in self._widths)
        return _up(min(rows, height - 1))


def _up(rows: int) -> str:
    return f"\r\x1b[{rows}A" if rows > 0 else "\r"
