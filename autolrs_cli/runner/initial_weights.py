"""Weights that a run starts from, where they are those of another run: `run.init_from`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from autolrs_cli.contracts import Recipe
from autolrs_cli.errors import ConfigError
from autolrs_cli.homes import at_home
from autolrs_cli.records.journal import Record
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.seeding import isolated
from autolrs_cli.training.weights import shapes_of, stored_shapes

KEY = "run.init_from"


def initial_weights(given: str | None) -> Path | None:
    """Return the file of weights that a run starts from; None: it draws them.

    Args:
        given: the setting `run.init_from`.

    Raises:
        ConfigError: if it names no run directory, or one of a run that has not ended.
    """
    if given is None:
        return None
    directory = RunDirectory(at_home(given, KEY))
    if not directory.config.is_file():
        raise ConfigError(
            f"`{KEY}` must be the directory of a run, but {given} has no {directory.config.name}. Set {KEY}."
        )
    if not directory.model.is_file():
        raise ConfigError(
            f"`{KEY}` must be a run that is done, but {given} has no {directory.model.name}. Train it to its end "
            f"(autolrs resume {given}), or set {KEY} to another."
        )
    return directory.model


def require_fitting(recipe: Recipe, weights: Path | None) -> None:
    """Check that weights are those of the model that a recipe builds.

    Args:
        recipe: its data are ready.
        weights: from `initial_weights`.

    Raises:
        ConfigError: if names or shapes differ, or the file cannot be read.
    """
    if weights is None:
        return
    with isolated(0, "initialisation"):
        wanted = shapes_of(recipe.model())
    odd = _first_difference(wanted, stored_shapes(weights))
    if odd:
        raise ConfigError(
            f"`{KEY}` must be a run of the same model, but in {weights} {odd}. Set {KEY} to a run with these settings "
            "of model and data, or set them as that run has them."
        )


def digest_of(weights: Path | None) -> str | None:
    """Return 16 hex digits of the hash of a file of weights.

    Raises:
        ConfigError: if it cannot be read.
    """
    if weights is None:
        return None
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ConfigError(
            f"`{KEY}` must be readable, but {weights} is not: {error.strerror}. Mend that."
        ) from error


def require_same(began: Record | None, given: str | None) -> None:
    """Check that a run that begins again, having been stopped before its first checkpoint, finds the same weights.

    Args:
        began: the run's first record; None: it has none.
        given: the setting `run.init_from`.

    Raises:
        ConfigError: if the weights are gone or others.
    """
    now = digest_of(initial_weights(given))
    then = now if began is None else began.get("initial_weights")
    if now != then:
        raise ConfigError(
            "A run that was stopped before its first checkpoint must begin again from the same weights, but those in "
            f"{given} are others now (hash {now}, not {then}). Restore them, or begin a new run."
        )


def _first_difference(wanted: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]]) -> str:
    """Return in words where the two differ first; empty if they do not."""
    for name, shape in wanted.items():
        if name not in stored:
            return f"there is no {name}"
        if stored[name] != shape:
            return f"{name} is {list(stored[name])}, and must be {list(shape)}"
    extra = next((name for name in stored if name not in wanted), None)
    return "" if extra is None else f"there is {extra}, which the model has not"
