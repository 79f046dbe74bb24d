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


def divides_among(global_batch: int, micro_batch: int | None, world_size: int) -> list[str]:
    """Return a problem unless each of `world_size` processes gets whole micro-batches of a step.

    `micro_batch` is None where a process takes its part of a step at once.
    """
    parts = world_size * (micro_batch or 1)
    if global_batch % parts == 0:
        return []
    least = f"{world_size} x {micro_batch} (recipe.micro_batch)" if micro_batch else str(world_size)
    return [
        f"Each process must get whole micro-batches of a step, but got runtime.processes={world_size} and "
        f"recipe.global_batch={global_batch}, which is no multiple of {least}. Set recipe.global_batch, "
        "recipe.micro_batch or runtime.processes."
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
