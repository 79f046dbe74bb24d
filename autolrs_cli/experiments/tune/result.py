"""What a study leaves for later runs: the tuned schedule, with what it took to find it, and how to train with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from autolrs_cli.compose.another_run import for_another_run
from autolrs_cli.errors import ConfigError
from autolrs_cli.schedules.tuning import KEY, Tuning

# What a person types for a study that a run with its result does not need, or has in it.
_OF_THE_STUDY = ("schedule", "tune", "seed", "dashboard", "tracker", "run.dir", "hydra")


def train_command(before: Sequence[str], given: Sequence[str], option: str) -> str:
    """Return what to type in a shell to train as the study did, with what it found.

    Args:
        before: what goes before the overrides (--config-dir).
        given: the overrides that the study was begun with.
        option: of the tuned schedule.
    """
    kept = for_another_run(given, _OF_THE_STUDY)
    return shlex.join(["autolrs", "train", *before, *kept, f"schedule={option}"])


def tuned_text(node: Mapping[str, Any], tuning: Tuning, head: Sequence[str]) -> str:
    """Return the content of a tuned schedule's file.

    Args:
        node: the schedule before, with its interpolations.
        tuning: what was found, and what that took.
        head: what a person should know of it, a line each.
    """
    tuned = {**node, **tuning.found, "name": f"{node['name']}_tuned", KEY: tuning.model_dump()}
    # It quotes text that Hydra would read as a number, as a study named 1e234567; yaml.safe_dump does not.
    body = OmegaConf.to_yaml(OmegaConf.create(tuned))
    return "".join(f"# {line}\n" for line in head) + body


def option_in(path: Path) -> str:
    """Return what to write after `schedule=` for the tuned schedule of which `path` is a copy.

    Raises:
        ConfigError: if it is none.
    """
    try:
        return str(yaml.safe_load(path.read_text(encoding="utf-8"))[KEY]["option"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            f"A study must have left a tuned schedule, but {path} is none. Set the study's folder aside, and tune "
            "again."
        ) from error
