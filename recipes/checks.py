"""Rules across settings, and lists in messages, worded alike; single values are checked by their types."""

from __future__ import annotations


def divides(global_batch: int, micro_batch: int) -> list[str]:
    """Return a problem unless a step can be cut into whole micro-batches."""
    if global_batch % micro_batch == 0:
        return []
    return [
        f"`micro_batch` must divide `global_batch`, but got recipe.micro_batch={micro_batch}, "
        f"recipe.global_batch={global_batch}. Set recipe.micro_batch."
    ]


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
