"""What was asked of `autolrs reproduce`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autolrs_cli.experiments.reproduce.arms import Arm
from autolrs_cli.experiments.reproduce.presets import Preset
from autolrs_cli.overrides import key_in

DEFAULT_DIRECTORY = Path("reproduction")
# Overrides of these groups do not move what the original schedule ends at, but by chance.
TARGET_KEEPING = (
    "target",
    "runtime.threads",
    "runtime.workers",
    "runtime.device",
    "tracker",
    "hydra",
    "search",
)

Only = Literal["cost", "calibrate", "hindsight", "report"]
"""A part of a reproduction that can be asked for alone."""


@dataclass(frozen=True)
class ReproductionRequest:
    """What was asked for, the same for every recipe."""

    seeds: tuple[int, ...]
    scale: str
    jobs: int
    directory: Path
    overrides: tuple[str, ...]
    """For every run of every recipe."""
    rerun_failed: bool = False
    calibrate: bool = False
    """Whether targets are calibrated anew, and nothing else is done."""
    rerun_stale: bool = False
    """Whether all is done again that was done with data that have changed since."""
    source: Path | None = None
    """Folder with an archive for each recipe, of what was done elsewhere and counts as done."""
    launcher_overrides: tuple[str, ...] = ()
    """Where runs and studies are computed; no part of what they are."""
    preset: Preset | None = None
    """The part of the arms that is run; None: all."""

    def chosen(self, arms: Sequence[Arm]) -> tuple[Arm, ...]:
        """Return those of `arms` that were asked for, as they are run."""
        return tuple(arms) if self.preset is None else self.preset.arms(arms)

    @property
    def replays(self) -> bool:
        """Whether another seed's LRs are replayed, too."""
        return self.preset is None

    @property
    def keeps_targets(self) -> bool:
        """Whether a target in the recipe's YAML is for these runs: nothing that could move it is overridden."""
        return all(key.startswith(TARGET_KEEPING) for key in self._keys)

    @property
    def gives_target(self) -> bool:
        """Whether a target is among the overrides; null asks for a calibrated one."""
        return any(key.split(".")[0] == "target" for key in self._keys)

    @property
    def _keys(self) -> list[str]:
        return [key for key in map(key_in, self.overrides) if key]

    @property
    def again(self) -> list[str]:
        """States whose runs are begun again."""
        return ["failed"] * self.rerun_failed + ["stale"] * self.rerun_stale

    @property
    def launcher(self) -> list[str]:
        """Overrides for the launcher of runs."""
        return [*self.launcher_overrides, *([f"launcher.jobs={self.jobs}"] if self.jobs > 1 else [])]

    def of(self, recipe: str) -> Path:
        """Return where everything of one recipe lies."""
        return self.directory / self.scale / recipe

    def command(self, recipes: Sequence[str]) -> str:
        """Return the command as a report names it: what decides its results."""
        words = ["autolrs", "reproduce", *recipes, "--seeds", str(len(self.seeds)), "--scale", self.scale]
        words += ["--preset", self.preset.name] if self.preset else []
        return shlex.join([*words, *(["--calibrate"] if self.calibrate else []), *self.overrides])

    def command_here(self, recipes: Sequence[str]) -> str:
        """Return what to type for the same again in this place."""
        words = [*self.launcher_overrides, *(["--jobs", str(self.jobs)] if self.jobs > 1 else [])]
        if self.directory != DEFAULT_DIRECTORY:
            words += ["--dir", str(self.directory)]
        if self.source is not None:
            words += ["--from", str(self.source)]
        return " ".join([self.command(recipes), *([shlex.join(words)] if words else [])])
