"""The person's own configurations, which Hydra finds beside ours: where tuned schedules are kept."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

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
    """A tuned schedule among the person's configurations: what it was tuned for is part of its name.

    Args:
        recipe, scale: what it was tuned for.
        schedule: its name before.
        average, optimizer: which averaging and which optimizer (the option's name) it was tuned under.
        data_fingerprint: of the data that it was tuned on.
    """

    recipe: str
    scale: str
    schedule: str
    average: str
    optimizer: str
    data_fingerprint: str

    @property
    def folder(self) -> Path:
        """Where it is kept, beside other tuned schedules of its recipe and scale."""
        return user_configs() / "schedule" / "tuned" / self.recipe / self.scale

    def option(self, study: str) -> str:
        """Return what to write after `schedule=` for what a study found.

        Another study under the same name (another budget, space, batch, ...) keeps its own: this one is then a second
        version, or a third.
        """
        names = chain([self._name], (f"{self._name}-v{number}" for number in count(2)))
        free = next(each for each in names if _study_in(self.folder / f"{each}.yaml") in (None, study))
        return f"tuned/{self.recipe}/{self.scale}/{free}"

    def versions(self) -> list[str]:
        """Return what to write after `schedule=` for each that is kept under this name."""
        paths = [self.folder / f"{self._name}.yaml", *sorted(self.folder.glob(f"{self._name}-v*.yaml"))]
        return [f"tuned/{self.recipe}/{self.scale}/{path.stem}" for path in paths if path.exists()]

    @property
    def _name(self) -> str:
        average = "" if self.average == "none" else f"_{self.average}"
        data = re.sub(r"[^\w.-]", "", self.data_fingerprint)[:8]
        return f"{self.schedule}{average}-{self.optimizer.replace('/', '.')}-{data}"

    def prove_writable(self) -> None:
        """Make the folder before any step is spent.

        Raises:
            ConfigError: if it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise ConfigError(
                f"The folder for tuned schedules must be writable, but {self.folder} is not. "
                f"Set {CONFIG_VARIABLE} to a folder that you can write."
            )


def path_of(option: str) -> Path:
    """Return the file of a tuned schedule from what is written after `schedule=`."""
    return user_configs() / "schedule" / f"{option}.yaml"


def _study_in(path: Path) -> str | None:
    """Return which study a tuned schedule is from: empty if the file does not say, None if there is none."""
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(node["tuning"]["study"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""
