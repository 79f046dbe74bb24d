"""The person's own configurations, which Hydra finds beside ours: where tuned schedules are kept."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_config_path

from autolrs_cli.errors import ConfigError
from autolrs_cli.homes import user_folder

CONFIG_VARIABLE = "AUTOLRS_CONFIG_DIR"


def user_configs() -> Path:
    """Return the root of the person's own configurations, which need not be there.

    That is `configs` in $AUTOLRS_CONFIG_DIR, else in the folder that the system keeps for settings.
    """
    chosen = os.environ.get(CONFIG_VARIABLE)
    root = Path(chosen).expanduser().absolute() if chosen else user_folder(user_config_path)
    return root / "configs"


@dataclass(frozen=True)
class TunedSchedule:
    """A tuned schedule among the person's configurations.

    Args:
        recipe, scale: what it was tuned for.
        schedule: its name before.
        average: which averaging it was tuned under.
    """

    recipe: str
    scale: str
    schedule: str
    average: str

    @property
    def option(self) -> str:
        """What to write after `schedule=`."""
        suffix = "" if self.average == "none" else f"_{self.average}"
        return f"tuned/{self.recipe}/{self.scale}/{self.schedule}{suffix}"

    @property
    def path(self) -> Path:
        """The file."""
        return user_configs() / "schedule" / f"{self.option}.yaml"

    def command(self, before: Sequence[str] = ()) -> str:
        """Return how to train with it; `before` is what goes before the overrides (--config-dir)."""
        average = [] if self.average == "none" else [f"average={self.average}"]
        chosen = [f"recipe={self.recipe}", f"scale={self.scale}", *average, f"schedule={self.option}"]
        return shlex.join(["autolrs", "train", *before, *chosen])

    def prove_writable(self) -> None:
        """Make the folder before any step is spent.

        Raises:
            ConfigError: if it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.path.parent, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise ConfigError(
                f"The folder for tuned schedules must be writable, but {self.path.parent} is not. "
                f"Set {CONFIG_VARIABLE} to a folder that you can write."
            )

    def text(self, node: Mapping[str, Any], settings: Mapping[str, Any], facts: Sequence[str]) -> str:
        """Return the file's content.

        Args:
            node: the schedule before, with its interpolations.
            settings: what was found.
            facts: where it comes from, a line each.
        """
        tuned = {**node, **settings, "name": f"{node['name']}_tuned"}
        header = [
            f"{self.schedule} for {self.recipe} at scale={self.scale}, tuned.   {self.command()}",
            *facts,
        ]
        body: str = yaml.safe_dump(tuned, sort_keys=False, allow_unicode=True)
        return "".join(f"# {line}\n" for line in header) + body
