"""How the settings of a schedule were found: written into it by `autolrs tune`, and read again from a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autolrs_cli.config_keys import batch_settings, flat
from autolrs_cli.schedules.lengths import schedule_key
from autolrs_cli.settings import Section, parse
from autolrs_cli.values import NonNegativeFloat, PositiveInt

KEY = "tuning"


class Purpose(Section):
    """What settings were tuned for; for anything else they are a guess."""

    recipe: str
    scale: str
    optimizer: str
    """Its name and settings, in words."""
    average: str
    batch: dict[str, Any]
    data_fingerprint: str


class Tuning(Section):
    """`schedule.tuning`: what it took to find the schedule's settings, all runs of the study included."""

    option: str
    """What to write after `schedule=` for these settings."""
    study: str
    """Hash of what the study was a study of."""
    steps: PositiveInt
    """Optimizer steps."""
    seconds: NonNegativeFloat
    runs: PositiveInt
    configurations: PositiveInt
    max_steps: PositiveInt
    """Length of the run that was tuned for, in kept steps."""
    purpose: Purpose
    found: dict[str, int | float]
    """The settings that were tuned, for a run of that length."""


def tuning_in(config: Mapping[str, Any]) -> Tuning | None:
    """Return what a resolved configuration says of the settings of the schedule that it trains with; None: nothing.

    Raises:
        ConfigError: if that is damaged.
    """
    at = schedule_key(config)
    node = config[at].get(KEY)
    return None if node is None else parse(Tuning, node, f"{at}.{KEY}")


def purpose_of(config: Mapping[str, Any], data_fingerprint: str) -> Purpose:
    """Return what settings that are found under a resolved configuration, on these data, are for."""
    return Purpose(
        recipe=str(config["recipe"].get("name")),
        scale=str(config.get("scale")),
        optimizer=_in_words(config.get("optimizer") or {}),
        average=str((config.get("average") or {}).get("name", "none")),
        batch=batch_settings(config),
        data_fingerprint=data_fingerprint,
    )


def _in_words(optimizer: Mapping[str, Any]) -> str:
    """Return an optimizer as one line that tells it from every other one: "sgd momentum=0.9 nesterov=True"."""
    settings = (f"{key}={value}" for key, value in sorted(flat(optimizer).items()) if not key.startswith("_"))
    return " ".join([str(optimizer.get("_target_", "none")).rpartition(".")[2], *settings])


def used_otherwise(tuning: Tuning, config: Mapping[str, Any], data_fingerprint: str) -> list[str]:
    """Return in what a run differs from the one that its settings were tuned for; empty: they are used as found.

    Another length is no difference: the schedule is made for it, its periods (settings in steps) fitted anew.
    """
    now = purpose_of(config, data_fingerprint)
    return [*_other_purpose(tuning.purpose, now), *_changed(tuning, config)]


def _other_purpose(then: Purpose, now: Purpose) -> Iterator[str]:
    for key, was in then.model_dump().items():
        is_ = getattr(now, key)
        if was != is_:
            name = {"data_fingerprint": "data (by fingerprint)"}.get(key, key)
            yield f"{name} {_words(is_)} instead of {_words(was)}"


def _changed(tuning: Tuning, config: Mapping[str, Any]) -> Iterator[str]:
    at = schedule_key(config)
    same_length = config["run"]["max_steps"] == tuning.max_steps
    for key, was in tuning.found.items():
        is_ = config[at].get(key)
        if is_ != was and (same_length or not key.endswith("_steps")):
            yield f"{at}.{key} {_words(is_)} instead of {_words(was)}"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={part}" for key, part in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
