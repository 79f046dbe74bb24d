"""The launcher that a command line asks for."""

from __future__ import annotations

from collections.abc import Sequence

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.child import HydraLauncher, RayLauncher
from autolrs_cli.experiments.launchers.contract import Launcher
from autolrs_cli.experiments.launchers.local import LocalLauncher
from autolrs_cli.experiments.launchers.settings import SETTINGS, Given, RaySettings, SlurmSettings
from autolrs_cli.experiments.launchers.slurm import SlurmLauncher
from autolrs_cli.settings import parse


def launcher_for(given: Given, hydras: Sequence[str] = ()) -> Launcher:
    """Return the launcher of a composed group `launcher`, or Hydra's own if one of those is asked for.

    Args:
        given: the group.
        hydras: overrides for Hydra itself, hydra/launcher=joblib for example.

    Raises:
        ConfigError: if the settings are wrong, or two launchers are asked for.
    """
    name = given.get("name")
    if name not in SETTINGS:
        raise ConfigError(
            f"`launcher.name` must be one of {', '.join(SETTINGS)}, but got {name}. Set launcher."
        )
    settings = parse(SETTINGS[str(name)], given, "launcher")
    if hydras:
        if name != "local" or settings.jobs is not None or settings.gpus is not None:
            raise ConfigError(
                f"Runs have one launcher, but got launcher={name} with settings of its own, and {' '.join(hydras)}. "
                "Leave one of them out."
            )
        return HydraLauncher(hydras)
    if isinstance(settings, SlurmSettings):
        return SlurmLauncher(settings)
    return RayLauncher(settings) if isinstance(settings, RaySettings) else LocalLauncher(settings)
