"""The runs that a grid of overrides stands for, each with a directory that a repeated command finds again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id

if TYPE_CHECKING:  # it imports torch, which the processes that only start jobs have no use for
    from autolrs_cli.compose.grid import Composed


def make_jobs(grid: Sequence[Composed], folder: Path) -> list[Job]:
    """Return a job for each different experiment of the grid, in its order.

    Args:
        grid: configurations; those that differ only in keys that cannot change results are one experiment.
        folder: below it lie the run directories, <recipe>/<schedule>/seed<seed>/<id>.
    """
    labels = _labels([each.overrides for each in grid])
    jobs: dict[str, Job] = {}
    for composed, label in zip(grid, labels, strict=True):
        config = composed.config
        place = (config["recipe"]["name"], config["schedule"]["name"], f"seed{config['seed']}")
        root = str(folder.joinpath(*map(str, place), config_id(config, HARMLESS_KEYS)))
        kind = config_id(config, (*HARMLESS_KEYS, "seed"))
        arguments = (*composed.config_dir, *composed.overrides)
        group = f"{config['recipe']['name']} {config['scale']}"
        jobs.setdefault(root, Job(label, arguments, root, kind, group, composed.steps, data_id(config)))
    return list(jobs.values())


def data_id(config: Mapping[str, Any]) -> str:
    """Return the same for configurations whose recipes, and so their data, have the same settings.

    Args:
        config: resolved.
    """
    return config_id({"recipe": config["recipe"]}, HARMLESS_KEYS)


def _labels(grid: Sequence[Sequence[str]]) -> list[str]:
    """Return, for each list of overrides, those in which the lists differ; all of them if there is only one."""
    shared = set.intersection(*(set(overrides) for overrides in grid)) if len(grid) > 1 else set()
    return [" ".join(each.lstrip("+") for each in overrides if each not in shared) for overrides in grid]
