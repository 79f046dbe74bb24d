"""Which schedules have a length: those that decay to the end of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPLAY = "replay"


def decays(config: Mapping[str, Any]) -> bool:
    """Return whether a run's schedule is decayed over the run, so that each length of it is a run of its own.

    Such a schedule must be told where the run ends: its node holds `max_steps` (step, linear, polynomial, cosine, wsd,
    one_cycle, and original where that is one of them). The others train the same way whatever the run's length is:
    constant, sgdr, clr, plateau, inverse_square_root, and those that are searched. So does a replay, which is told the
    length only to check it.

    Args:
        config: a resolved configuration.
    """
    node = schedule_node(config)
    return "max_steps" in node and node.get("name") != REPLAY


def schedule_node(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of the schedule that a resolved configuration trains with, its recipe's own included."""
    node: Mapping[str, Any] = config["schedule"]
    return config["original_schedule"] if node.get("name") == "original" else node
