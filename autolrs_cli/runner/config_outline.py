"""The outline of a configuration: without it, no other check can be made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import MAX_WHOLE

# Keys of a configuration that hold others, and those of them whose name is part of the record.
SECTIONS = ("recipe", "optimizer", "schedule", "original_schedule", "search", "average", "runtime", "run")
NAMED_SECTIONS = ("recipe", "schedule", "search")
# Ours has 4; what reads and compares configurations goes down level by level.
MOST_LEVELS = 20
# Names become folders: runs/<recipe>/<schedule>.
_NAME = re.compile(r"\w[\w.+-]{0,99}")


def require_shape(config: Mapping[str, Any]) -> None:
    """Raise unless every group is there, has a name where the record needs one, and holds what JSON can.

    Raises:
        ConfigError: with every problem; the checks of what is in the groups would only stumble over these.
    """
    if deep := [key for key, value in config.items() if _is_deep(value)]:
        raise ConfigError(
            [f"`{key}` must not be nested more than {MOST_LEVELS} levels deep. Set {key}." for key in deep]
        )
    unwritable = [problem for key, value in config.items() for problem in _unwritable(value, key)]
    if unwritable:
        raise ConfigError(unwritable)
    problems = [
        f"`{name}` must be a group of settings, but got {name}={config.get(name)!r}. Set {name}."
        for name in SECTIONS
        if not isinstance(config.get(name), Mapping)
    ]
    for name in NAMED_SECTIONS if not problems else ():
        given = config[name].get("name")
        if not isinstance(given, str):
            problems.append(f"`{name}.name` must be text, but got {name}.name={given!r}. Set {name}.name.")
        elif not _NAME.fullmatch(given):
            problems.append(
                f"`{name}.name` must be usable as the name of a folder (up to 100 letters, digits, dots, dashes and "
                f"underscores), but got {name}.name={given!r}. Set {name}.name."
            )
    if problems:
        raise ConfigError(problems)


def _is_deep(value: object) -> bool:
    """Tell whether groups and lists lie too deep in each other, without going down by recursion."""
    level = [value]
    for _ in range(MOST_LEVELS):
        groups = (node.values() for node in level if isinstance(node, Mapping))
        lists = (node for node in level if isinstance(node, list))
        level = list(chain.from_iterable((*groups, *lists)))
    return bool(level)


def _unwritable(value: object, key: str) -> list[str]:
    """Return what of the keys, numbers and texts in `value` the journal could not hold."""
    if isinstance(value, Mapping):
        wrong = sum(not _is_text(name) for name in value)
        found = (
            [f"`{key}` must have text in UTF-8 for its keys, but {wrong} are not. Set {key}."]
            if wrong
            else []
        )
        parts = ((f"{key}.{name}", part) for name, part in value.items() if _is_text(name))
        return found + [problem for at, part in parts for problem in _unwritable(part, at)]
    if isinstance(value, list):
        return [problem for i, part in enumerate(value) for problem in _unwritable(part, f"{key}[{i}]")]
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        # Python refuses to write out more than 4,300 digits.
        given = value if value.bit_length() < 1_000 else f"a number of {value.bit_length():,} bits"
        return [f"`{key}` must be at most 2^63 - 1, but got {key}={given}. Set {key}."]
    if isinstance(value, str) and not _is_text(value):
        return [f"`{key}` must be text in UTF-8, but got {key}={value!r}. Set {key}."]
    if isinstance(value, str) and "${" in value:
        return [f"`{key}` must be a value, not refer to one, but got {key}={value!r}. Set {key}."]
    if not isinstance(value, str | int | float | None):
        return [f"`{key}` must be a number, text, list or group, but got {key}={value!r}. Set {key}."]
    return []


def _is_text(value: object) -> bool:
    """Tell whether `value` is text that UTF-8 can write: without halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
