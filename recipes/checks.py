"""Checks of single settings, worded alike: what must hold, what was given, what to do."""

from __future__ import annotations

import math
from numbers import Real


def whole_number(key: str, value: object, least: int) -> list[str]:
    """Return a problem unless `value` is an integer of at least `least`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return []
    return [f"`{key}` must be a whole number of at least {least}, but got {key}={value!r}. Set {key}."]


def number(key: str, value: object, least: float, most: float) -> list[str]:
    """Return a problem unless `value` is a number in [least, most]."""
    if is_number(value) and least <= float(value) <= most:  # type: ignore[arg-type]
        return []
    return [f"`{key}` must be a number from {least:g} to {most:g}, but got {key}={value!r}. Set {key}."]


def switch(key: str, value: object) -> list[str]:
    """Return a problem unless `value` is true or false."""
    if isinstance(value, bool):
        return []
    return [f"`{key}` must be true or false, but got {key}={value!r}. Set {key}."]


def share(key: str, value: object, purpose: str) -> list[str]:
    """Return a problem unless `value` is in (0, 1): a slice must hold something and leave something.

    Args:
        key: the setting.
        value: what was given.
        purpose: what the slice is for, after "the slice that".
    """
    if is_number(value) and 0 < float(value) < 1:  # type: ignore[arg-type]
        return []
    return [
        f"`{key}` must lie between 0 and 1, both excluded, but got {key}={value!r}: the slice that {purpose} "
        f"must hold images and leave some for training. Set {key}, for example to 0.1."
    ]


def divides(global_batch: int, micro_batch: int) -> list[str]:
    """Return a problem unless a step can be cut into whole micro-batches."""
    if global_batch % micro_batch == 0:
        return []
    return [
        f"`micro_batch` must divide `global_batch`, but got recipe.micro_batch={micro_batch}, "
        f"recipe.global_batch={global_batch}. Set recipe.micro_batch."
    ]


def is_number(value: object) -> bool:
    """Tell whether `value` is a finite number (True and False are not)."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def named(items: list[str], total: int | None = None, most: int = 5) -> str:
    """Return "a, b, c and 4 more": the first few of a long list.

    Args:
        items: what to list; only the first `most` are written out.
        total: how many there are, where `items` is itself only the beginning.
        most: how many to write out.
    """
    total = len(items) if total is None else total
    shown = items[:most]
    rest = total - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")
