"""Which lengths a decayed arm is run at: the full one first, shorter ones while they reach the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FULL, LONGER = 1.0, 2.0
SHORTER = (0.8, 0.6, 0.4)
"""From the longest, each fully decayed (method rule 5)."""
SHARES = (FULL, *SHORTER, LONGER)


def next_share(reached: Mapping[float, bool]) -> float | None:
    """Return the next length to be run, as a share of the budget; None: no other is needed.

    A shorter one while the target is still reached, a longer one only where it is missed at full length. Lengths
    beyond the first miss would only be worse, and count for nothing: the shortest one that reaches the target does.

    Args:
        reached: length -> whether the arm reached the target there, for those that were run.
    """
    if FULL not in reached:
        return FULL
    if not reached[FULL]:
        return None if LONGER in reached else LONGER
    for share in SHORTER:
        if share not in reached:
            return share
        if not reached[share]:
            return None
    return None


def mostly(reached: Sequence[bool]) -> bool:
    """Return whether an arm reaches the target: on more than half of its seeds, so that the median run does."""
    return 2 * sum(reached) > len(reached)


def at_most(shares: Sequence[float]) -> float:
    """Return how many full lengths one seed takes at most: all shorter runs, or the longer one."""
    if len(shares) == 1:
        return shares[0]
    return FULL + max(LONGER, sum(SHORTER))
