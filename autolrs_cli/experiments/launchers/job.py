"""One run that is to be made, as its launcher gets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One run of a sweep; what the process that starts it needs to know."""

    label: str
    """What sets it apart from the others."""
    arguments: tuple[str, ...]
    """After `autolrs train`, run.dir left out."""
    root: str
    """Its run directory."""
    kind: str
    """Equal for runs of which one step costs about the same: all but the seed is the same."""
    group: str
    """Recipe and scale: only runs of one group can be compared."""
    steps: int
    data: str
    """Its `data_id`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; `Job(**...)` brings it back."""
        return asdict(self)
