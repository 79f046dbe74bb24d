"""What a person is told about settings, as `check` tells it: from a configuration's node to messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import pytest

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.instantiate import build
from autolrs_recipes.data.cache import quiet

Messages = Callable[..., list[str]]


def node(target: type, /, **settings: Any) -> dict[str, Any]:
    """The node of a configuration that builds `target`; parts that are built already become nodes again."""
    return {"_target_": f"{target.__module__}.{target.__qualname__}", **settings}


def told(at: str, target: type) -> Messages:
    """Return what takes the settings of `target` (a recipe, its parts, a schedule) and answers with messages.

    Args:
        at: the node's key.
        target: what the node builds.
    """

    def messages(**settings: Any) -> list[str]:
        parts = {key: _as_node(value) for key, value in settings.items()}
        rules = (
            (lambda it: it.problems(at)) if ".schedules." in target.__module__ else (lambda it: it.problems())
        )
        try:
            build(node(target, **parts), at, parts, rules=rules)
        except ConfigError as error:
            return list(error.problems)
        return []

    return messages


def _as_node(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return node(type(value), **{each.name: getattr(value, each.name) for each in fields(value)})
    return value


as_node = partial(partial, node)
"""`as_node(Marian)(layers=0)`: what a maker of test objects calls in place of the class."""


def error_of_data(data: Any) -> str:
    """Return the one message that a person gets of data, of their settings or of their content."""
    problems = data.problems()
    if not problems:
        with pytest.raises(ConfigError) as caught:
            data.prepare(quiet)
        problems = list(caught.value.problems)
    assert len(problems) == 1, problems
    return str(problems[0])
