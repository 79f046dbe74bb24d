"""From a configuration node with a `_target_` to the object, with every wrong value named."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from pydantic import TypeAdapter, ValidationError

from autolrs_cli.errors import ConfigError

SCALARS = (int, float, str, bool, type(None))


def build(node: Mapping[str, Any], at: str) -> Any:
    """Instantiate `node`, and the nodes inside it.

    Args:
        node: resolved plain containers; `_target_` names a class or function.
        at: key under which it stands, for messages.

    Raises:
        ConfigError: with every value that does not fit its parameter, or why the object refused to be built.
    """
    problems = value_problems(node, at)
    if problems:
        raise ConfigError(problems)
    try:
        return instantiate(dict(node), _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(f"`{at}` must be buildable, but it is not: {cause or error}. Mend {at}.") from error


def value_problems(node: Mapping[str, Any], at: str) -> list[str]:
    """Check the plain values of `node` against the annotations of its target; return every mismatch."""
    parameters = _annotations(node, at)
    problems: list[str] = []
    for key, value in node.items():
        if isinstance(value, Mapping) and "_target_" in value:
            problems += value_problems(value, f"{at}.{key}")
        elif key in parameters and _is_plain(parameters[key]):
            problems += _mismatch(value, parameters[key], f"{at}.{key}")
    return problems


def _annotations(node: Mapping[str, Any], at: str) -> dict[str, Any]:
    target = node.get("_target_")
    if not isinstance(target, str):
        raise ConfigError(
            f"`{at}` must name what to build, but it has no _target_. Choose an option of {at}."
        )
    try:
        found: Callable[..., Any] = get_object(target)
    except Exception as error:
        raise ConfigError(
            f"`{at}._target_` must name something importable, but {target!r} is not: {error}. Mend {at}._target_."
        ) from error
    function = found.__init__ if inspect.isclass(found) else found
    return typing.get_type_hints(function)


def _is_plain(annotation: Any) -> bool:
    """Whether pydantic can judge the value: scalars, literals, and unions and sequences of them."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, list, Sequence):
        return all(_is_plain(a) for a in typing.get_args(annotation))
    return annotation in SCALARS or origin is typing.Literal


def _mismatch(value: Any, annotation: Any, key: str) -> list[str]:
    try:
        TypeAdapter(annotation).validate_python(value, strict=annotation is not float)
    except ValidationError as error:
        wanted = error.errors()[0]["msg"].removeprefix("Input should ")
        return [f"`{key}` must {wanted}, but got {key}={value!r}. Set {key}."]
    return []
