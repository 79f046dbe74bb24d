"""The outline of a configuration: without it, no other check can be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import MAX_WHOLE

# Keys of a configuration that hold others, and those of them whose name is part of the record.
SECTIONS = ("recipe", "optimizer", "schedule", "original_schedule", "search", "runtime", "run")
NAMED_SECTIONS = ("recipe", "schedule", "search")


def require_shape(config: Mapping[str, Any]) -> None:
    """Raise unless every group is there, has a name where the record needs one, and holds what JSON can.

    Raises:
        ConfigError: with every problem; the checks of what is in the groups would only stumble over these.
    """
    problems = [
        f"`{name}` must be a group of settings, but got {name}={config.get(name)!r}. Set {name}."
        for name in SECTIONS
        if not isinstance(config.get(name), Mapping)
    ]
    for name in NAMED_SECTIONS if not problems else ():
        given = config[name].get("name")
        if not isinstance(given, str):
            problems.append(f"`{name}.name` must be text, but got {name}.name={given!r}. Set {name}.name.")
    problems += [problem for key, value in config.items() for problem in _unwritable(value, key)]
    if problems:
        raise ConfigError(problems)


def _unwritable(value: object, key: str) -> list[str]:
    """Return the numbers and texts in `value` that the journal could not hold."""
    if isinstance(value, Mapping):
        return [problem for name, part in value.items() for problem in _unwritable(part, f"{key}.{name}")]
    if isinstance(value, list):
        return [problem for i, part in enumerate(value) for problem in _unwritable(part, f"{key}[{i}]")]
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        return [f"`{key}` must be at most 2^63 - 1, but got {key}={value}. Set {key}."]
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return [f"`{key}` must be text in UTF-8, but got {key}={value!r}. Set {key}."]
    return []
