"""A run that lies on disk, built again from its own config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from autolrs_cli.contracts import FullyMeasured, Recipe
from autolrs_cli.errors import ConfigError
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.config_outline import require_shape
from autolrs_cli.runner.instantiate import build
from autolrs_cli.runner.other_version import require_same_version
from autolrs_cli.runner.plan import build_recipe
from autolrs_cli.runner.preparation import prepare_data, recall_preprocessing
from autolrs_cli.runner.target_allowlist import require_trusted
from autolrs_cli.seeding import isolated
from autolrs_cli.training.weights import LastCheckpoints, load_weights

# Ours have 5 kB and 5 levels; YAML takes time that grows with the square of the levels.
_MOST_CONFIG_BYTES = 1 << 18
_MOST_LEVELS = 30


class StoredRun:
    """A finished run.

    Args:
        root: its run directory.

    Raises:
        ConfigError: if it is not a run directory, its configuration names code that is neither ours nor in the folder
            that the run recorded; or, where nothing was kept of its data, these are not what they were.
    """

    def __init__(self, root: Path) -> None:
        self.directory = RunDirectory(root)
        self.config = read_trusted_config(self.directory)
        self.recipe: Recipe = build(self.config["recipe"], "recipe", self.config, kind=Recipe)
        if not recall_preprocessing(self.recipe, self.directory):
            self.recipe = build_recipe(self.config)
            prepare_data(self.recipe)
            self._require_same_data()

    def model(self) -> nn.Module:
        """Return the trained model on the CPU, with the weights that decided its target.

        These are the averaged ones where the run averaged; else the mean of the last checkpoints where the recipe is
        judged by that.

        Raises:
            ConfigError: if the run has not ended, or its weights do not fit.
        """
        if not self.directory.model.exists():
            raise ConfigError(
                f"The run must have ended to have weights, but {self.directory.root} has no "
                f"{self.directory.model.name}. Train it to its end."
            )
        with isolated(0, "initialisation"):
            model = self.recipe.model()
        if self.config["average"]["name"] != "none":
            load_weights(model, self.directory.averaged_model)
            return model.eval()
        load_weights(model, self.directory.model)
        recipe = self.recipe
        if isinstance(recipe, FullyMeasured):
            last = LastCheckpoints(
                self.directory.last_weights, recipe.averaged_checkpoints, recipe.checkpoint_every_steps
            )
            model = last.mean(model, self._summary()["step"], last=True)
        return model.eval()

    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = orjson.loads(self.directory.summary.read_bytes())
        return summary

    def _require_same_data(self) -> None:
        try:
            recorded = self._summary()["data_fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # a run that never ended has no summary; it has no weights either
        if recorded != self.recipe.fingerprint():
            raise ConfigError(
                "The data must be those that the run was trained on, but their fingerprint is "
                f"{self.recipe.fingerprint()} and the run recorded {recorded}. Restore the data (bundled data "
                "depend on the versions in summary.json)."
            )


def read_trusted_config(directory: RunDirectory) -> dict[str, Any]:
    """Return the configuration that a run was started with; none of its values makes this machine run foreign code.

    Raises:
        ConfigError: if there is none, it has not the outline of one, another version of autolrs made it, or it names
            code that is neither ours nor in the folder that the run was given with --config-dir.
    """
    config = read_config(directory)
    require_same_version(config, directory)
    require_trusted(config)
    return config


def _plain_yaml(path: Path) -> str:
    """Return the text of a config.yaml, if it is one that we could have written: YAML can also be a bomb.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is too long or deep, no UTF-8, or has aliases, of which a few lines can stand for gigabytes.
    """
    if path.stat().st_size > _MOST_CONFIG_BYTES:
        raise ValueError(f"it has more than {_MOST_CONFIG_BYTES:,} bytes")
    text = path.read_text(encoding="utf-8")
    levels = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # piece by piece, so that it can be left at once
        levels += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if levels > _MOST_LEVELS:
            raise ValueError(f"it is more than {_MOST_LEVELS} levels deep")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has aliases (*name)")
    return text


def read_config(directory: RunDirectory) -> dict[str, Any]:
    """Return the configuration that a run recorded; nothing in it can be trusted yet.

    Raises:
        ConfigError: if there is none, or it has not the outline of one.
    """
    try:
        config = OmegaConf.to_container(OmegaConf.create(_plain_yaml(directory.config)), resolve=False)
    except OSError as error:
        raise ConfigError(
            f"A run directory must hold config.yaml, but {directory.config} cannot be read: {error.strerror}. "
            "Name the directory that the run's closing card names."
        ) from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"A run's config.yaml must be YAML, but {directory.config} is not: {reason}. Restore it."
        ) from error
    if not isinstance(config, dict):
        raise ConfigError(
            f"A run's config.yaml must hold groups, but {directory.config} does not. Restore it."
        )
    named = {str(key): value for key, value in config.items()}
    require_shape(named)
    return named
