"""Which run of a table is marked, and which is open: what keys do."""

from __future__ import annotations

BACK = ("escape", "q")


class Navigation:
    """Up, down or a number mark a run, Enter opens it, Esc or q goes back; q in the table leaves."""

    def __init__(self) -> None:
        self.marked = 0
        """0-based place of a run."""
        self.opened = False
        """Whether the marked run is shown by itself."""
        self.left = False
        """Whether the person is done."""
        self._typed = ""

    def press(self, key: str, count: int) -> None:
        """Take in a key, as `keys.named` names it.

        Args:
            key: what was pressed.
            count: how many runs there are.
        """
        if self.opened:
            self.opened = key not in BACK
            return
        if key.isascii() and key.isdecimal():
            self._type(key, count)
            return
        self._typed = ""
        if key == "enter":
            self.opened = True
        elif key in ("up", "down"):
            self.marked = min(max(self.marked + (1 if key == "down" else -1), 0), count - 1)
        self.left = key == "q"

    def _type(self, digit: str, count: int) -> None:
        """Mark the run whose number is typed; where there is no such run, a new number begins."""
        for number in (f"{self._typed}{digit}", digit):
            if 1 <= int(number) <= count:
                self._typed, self.marked = number, int(number) - 1
                return
        self._typed = ""
