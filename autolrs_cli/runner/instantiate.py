"""From a configuration node with a `_target_` to the object, with every wrong value named."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import complaint

# What Hydra's `instantiate` reads itself.
INSTANTIATE_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
OUR_PACKAGES = ("autolrs_cli", "autolrs_recipes")
SCALARS = (int, float, str, bool, type(None))


def targets(node: Any) -> Iterator[str]:
    """Yield every `_target_` in a configuration."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                yield str(value)
            else:
                yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def user_modules(config: Mapping[str, Any]) -> set[str]:
    """Return the top-level modules, other than ours, that a configuration builds objects from."""
    return {target.partition(".")[0] for target in targets(config)} - set(OUR_PACKAGES)


def build(
    node: Mapping[str, Any], at: str, groups: Mapping[str, Any] | None = None, kind: type | None = None
) -> Any:
    """Instantiate `node`, and the nodes inside it.

    Args:
        node: resolved plain containers; `_target_` names a class or function.
        at: key under which it stands, for messages.
        groups: top-level nodes by their keys; a node inside `node` that equals the group of its key is that group, and
            messages call it so.
        kind: the protocol that the object must follow; None: any will do.

    Raises:
        ConfigError: with every value that does not fit its parameter, or why the object refused to be built.
    """
    problems = value_problems(node, at, groups or {}, kind)
    if problems:
        raise ConfigError(problems)
    try:
        built = instantiate(dict(node), _convert_="all")
    except (HydraException, OmegaConfBaseException, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(f"`{at}` must be buildable, but it is not: {cause or error}. Mend {at}.") from error
    problems = _kind_problems(built, kind, at)
    if problems:
        raise ConfigError(problems)
    return built


def value_problems(
    node: Mapping[str, Any], at: str, groups: Mapping[str, Any], kind: type | None = None
) -> list[str]:
    """Check the keys and plain values of `node` against the parameters of its target; return every mismatch."""
    found = _target(node, at)
    parameters, annotations = _parameters(found)
    problems = _kind_problems(found, kind, at) if inspect.isclass(found) else []
    for key, value in node.items():
        if key in INSTANTIATE_KEYS:
            continue
        if key not in parameters and not _takes_any(parameters):
            problems.append(f"`{at}.{key}` is not a setting. Remove {at}.{key}.")
        elif isinstance(value, Mapping) and "_target_" in value:
            inner = key if value == groups.get(key) else f"{at}.{key}"
            problems += value_problems(value, inner, groups, _protocol(annotations.get(key)))
        elif _protocol(annotations.get(key)):
            inner = key if key in groups else f"{at}.{key}"
            problems.append(
                f"`{inner}` must name what to build, but got {value!r}. Choose an option of {inner}."
            )
        elif key in annotations and _is_plain(annotations[key]):
            problems += _mismatch(value, annotations[key], f"{at}.{key}")
    return problems + _missing(node, parameters, at)


def _target(node: Mapping[str, Any], at: str) -> Callable[..., Any]:
    """Return what `node` is built with: a class or a function."""
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
    if not callable(found):
        raise ConfigError(
            f"`{at}._target_` must name a class or function, but {target!r} is {found!r}. Mend {at}._target_."
        )
    return found


def _parameters(found: Callable[..., Any]) -> tuple[Mapping[str, inspect.Parameter], Mapping[str, Any]]:
    """Return the parameters of a function, or of a class's `__init__`, and their types."""
    function = found.__init__ if inspect.isclass(found) else found
    try:
        # A dataclass inherits fields from other modules, where alone their types have a meaning.
        hints = typing.get_type_hints(found if is_dataclass(found) else function)
        return inspect.signature(function).parameters, hints
    except (ValueError, TypeError, NameError) as error:
        # What is written in C need not say what it takes.
        name = getattr(found, "__qualname__", found)
        raise ConfigError(
            f"What a _target_ names must say what it takes, but {name} does not: {error}."
        ) from error


def _protocol(annotation: Any) -> type | None:
    return annotation if getattr(annotation, "_is_protocol", False) else None


def _kind_problems(found: object, kind: type | None, at: str) -> list[str]:
    """Return a problem if `found`, a class or an object, lacks methods of the protocol `kind`."""
    methods = [] if kind is None else [name for name, part in vars(kind).items() if inspect.isfunction(part)]
    lacking = [name for name in methods if not name.startswith("_") and not hasattr(found, name)]
    if not lacking or kind is None:
        return []
    return [
        f"`{at}._target_` must name a {kind.__name__}, which has {', '.join(lacking)}; this has not. "
        f"Mend {at}._target_."
    ]


def _takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _missing(node: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], at: str) -> list[str]:
    """Return a problem for each parameter that must be given by keyword and is not."""
    return [
        f"`{at}.{name}` must be given. Set {at}.{name}."
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and parameter.default is inspect.Parameter.empty
        and name not in node
    ]


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
        return [complaint(key, error.errors()[0])]
    return []
