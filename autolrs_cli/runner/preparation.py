"""Data made ready before a run opens its directory."""

from __future__ import annotations

from autolrs_cli.contracts import Preparable, Recipe, Report


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
