"""Collect every broken invariant of a settings object, in the house's words."""

from __future__ import annotations

import math
from typing import Any


class Checks:
    """Invariants of one settings object; the broken ones collect in `problems`.

    Args:
        key: where the settings stand in the configuration, for example `search`.
        settings: the object whose attributes are named in the messages.
    """

    def __init__(self, key: str, settings: object) -> None:
        self.problems: list[str] = []
        self._key = key
        self._settings = settings

    def require(self, holds: bool, invariant: str, *names: str) -> bool:
        """Record a message about the attributes `names` unless `holds`; return `holds`."""
        if not holds:
            given = ", ".join(f"{self._key}.{name}={getattr(self._settings, name)}" for name in names)
            way_out = f"Set {self._key}.{names[0]}."
            self.problems.append(f"`{invariant}` must hold, but got {given}. {way_out}")
        return holds


def is_number(value: Any, low: float, high: float = math.inf) -> bool:
    """Say whether `value` is a finite number with `low <= value <= high`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and low <= value <= high


def is_positive(value: Any) -> bool:
    """Say whether `value` is a finite number above 0."""
    return is_number(value, 0) and value > 0


def is_whole(value: Any, low: int, high: float = math.inf) -> bool:
    """Say whether `value` is an integer with `low <= value <= high`."""
    return isinstance(value, int) and is_number(value, low, high)
