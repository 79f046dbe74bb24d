"""Smaller reproductions: which arms, how many seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autolrs_cli.experiments.reproduce.arms import AUTOLRS, AVERAGED, LEAN_SEARCH, ORIGINAL, Arm


@dataclass(frozen=True)
class Preset:
    """A part of the arms, each at full length only, and nothing tuned."""

    name: str
    titles: tuple[str, ...]
    seeds: int
    """Unless another number is asked for."""

    def arms(self, of: Sequence[Arm]) -> tuple[Arm, ...]:
        """Return its arms out of all."""
        return tuple(replace(arm, full_only=True) for arm in of if arm.title in self.titles)

    def __str__(self) -> str:
        return f"--preset {self.name}: {', '.join(self.titles)}; each at full length"


EVENING = Preset("evening", (ORIGINAL, AVERAGED, AUTOLRS, LEAN_SEARCH), seeds=3)
PRESETS = {preset.name: preset for preset in (EVENING,)}
DEFAULT_SEEDS = 5
