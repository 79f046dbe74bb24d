"""Data made ready before a run opens its directory, and what stays of them with the run."""

from __future__ import annotations

import shutil

from autolrs_cli.contracts import Portable, Preparable, Recipe, Report
from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError
from autolrs_cli.records.run_directory import RunDirectory


def prepare_data(recipe: Recipe, report: Report = lambda *_: None) -> None:
    """Make what the recipe's streams read, unless that was done before.

    Args:
        recipe: checked: its `problems` came back empty.
        report: told how it goes.

    Raises:
        ConfigError: if the data cannot be used.
    """
    if isinstance(recipe, Preparable):
        recipe.prepare(report)


def keep_preprocessing(recipe: Recipe, directory: RunDirectory) -> None:
    """Write into the run what its model needs to know of the data, unless it is there: class names, a tokenizer.

    Raises:
        ConfigError: if it cannot be written.
    """
    if not isinstance(recipe, Portable) or directory.preprocessing.is_dir():
        return
    aside = directory.preprocessing.with_name(f"{directory.preprocessing.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        recipe.keep(aside)
        publish(aside, directory.preprocessing)
    except OSError as error:
        raise ConfigError(
            f"The run directory must take what the model needs to know of the data, but {directory.root} does not: "
            f"{error.strerror or error}. Free some space or mend the folder's permissions."
        ) from error


def recall_preprocessing(recipe: Recipe, directory: RunDirectory) -> bool:
    """Let the recipe build and export its model without its data; return whether it can.

    Raises:
        ConfigError: if what stayed with the run is damaged.
    """
    if not isinstance(recipe, Portable) or not directory.preprocessing.is_dir():
        return False
    try:
        recipe.recall(directory.preprocessing)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"What a run keeps of its data must be whole, but {directory.preprocessing} is not: {error}. Restore it; "
            "or delete that folder, and the data themselves are used."
        ) from error
    return True
