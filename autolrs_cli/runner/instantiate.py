"""From a configuration node with a `_target_` to the object, with every wrong value named."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf.errors import OmegaConfBaseException

from autolrs_cli.errors import ConfigError
from autolrs_cli.values import argument_problems, parameters, unchecked

# What Hydra's `instantiate` reads itself.
INSTANTIATE_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_recursive_", "_args_"})
OUR_PACKAGES = ("autolrs_cli", "autolrs_recipes")
Rules = Callable[[Any], list[str]]
"""Asks what was built what is wrong with it as a whole: rules across its settings, its data."""


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


def build(
    node: Mapping[str, Any],
    at: str,
    groups: Mapping[str, Any] | None = None,
    kind: type | None = None,
    rules: Rules | None = None,
) -> Any:
    """Instantiate `node`, and the nodes inside it.

    Args:
        node: resolved plain containers; `_target_` names a class or function.
        at: key under which it stands, for messages.
        groups: top-level nodes by their keys; a node inside `node` that equals the group of its key is that group, and
            messages call it so.
        kind: the protocol that the object must follow; None: any will do.
        rules: must find nothing; what they find despite wrong values is said with these.

    Raises:
        ConfigError: with every value that does not fit its parameter and every broken rule, or why the object refused
            to be built.
    """
    wrong = value_problems(node, at, groups or {}, kind)
    if wrong:
        raise ConfigError([*wrong.values(), *_broken_besides(wrong, node, rules)])
    try:
        built = instantiate(dict(node), _convert_="all")
    except (HydraException, OmegaConfBaseException, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(f"`{at}` must be buildable, but it is not: {cause or error}. Mend {at}.") from error
    problems = kind_problems(built, kind, at) or (rules(built) if rules else [])
    if problems:
        raise ConfigError(problems)
    return built


def _broken_besides(wrong: Mapping[str, str], node: Mapping[str, Any], rules: Rules | None) -> list[str]:
    """Return the broken rules that have nothing to do with the wrong values, as far as they can be asked for.

    Only our own constructors are called with values that they do not allow: a user's may do anything with them.
    """
    if rules is None or not all(target.partition(".")[0] in OUR_PACKAGES for target in targets(node)):
        return []
    try:
        with unchecked(), warnings.catch_warnings(action="ignore"):
            found = rules(instantiate(dict(node), _convert_="all"))
    except Exception:  # what follows from the wrong values
        return []
    keys = re.compile("|".join(rf"\b{re.escape(key)}(?![\w.])" for key in wrong))
    return [problem for problem in found if not keys.search(problem)]


def value_problems(
    node: Mapping[str, Any], at: str, groups: Mapping[str, Any], kind: type | None = None
) -> dict[str, str]:
    """Check the keys and plain values of `node` against the parameters of its target; return what is wrong, by key."""
    found = named_target(node, at)
    known, annotations, problems = _judged(found, node, at)
    if inspect.isclass(found) and (lacking := kind_problems(found, kind, at)):
        problems[f"{at}._target_"] = lacking[0]
    for key, value in node.items():
        if key in INSTANTIATE_KEYS:
            continue
        protocol = _protocol(annotations.get(key))
        if key not in known and not _takes_any(known):
            problems[f"{at}.{key}"] = f"`{at}.{key}` is not a setting. Remove {at}.{key}."
        elif isinstance(value, Mapping) and "_target_" in value:
            inner = key if value == groups.get(key) else f"{at}.{key}"
            problems |= value_problems(value, inner, groups, protocol)
        elif protocol:
            inner = key if key in groups else f"{at}.{key}"
            problems[inner] = (
                f"`{inner}` must name what to build, but got {value!r}. Choose an option of {inner}."
            )
    return problems | _missing(node, known, at)


def _judged(
    found: Callable[..., Any], node: Mapping[str, Any], at: str
) -> tuple[Mapping[str, inspect.Parameter], Mapping[str, Any], dict[str, str]]:
    """Return the parameters of what is built, their types, and what is wrong with the plain values, by key."""
    given = {key: value for key, value in node.items() if key not in INSTANTIATE_KEYS}
    try:
        return *parameters(found), argument_problems(found, given, at)
    except (ValueError, TypeError, NameError, RuntimeError) as error:
        # What is written in C need not say what it takes.
        name = getattr(found, "__qualname__", found)
        raise ConfigError(
            f"What a _target_ names must say what it takes, but {name} does not: {error}."
        ) from error


def named_target(node: Mapping[str, Any], at: str) -> Callable[..., Any]:
    """Return what `node` is built with: a class or a function.

    Raises:
        ConfigError: if it names nothing that can be imported and called.
    """
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


def _protocol(annotation: Any) -> type | None:
    return annotation if getattr(annotation, "_is_protocol", False) else None


def kind_problems(found: object, kind: type | None, at: str) -> list[str]:
    """Return a problem if `found`, a class or an object, lacks methods of the protocol `kind`."""
    methods = [] if kind is None else [name for name, part in vars(kind).items() if inspect.isfunction(part)]
    lacking = [name for name in methods if not name.startswith("_") and not hasattr(found, name)]
    if not lacking or kind is None:
        return []
    return [
        f"`{at}._target_` must name a {kind.__name__}, which has {', '.join(lacking)}; this has not. "
        f"Mend {at}._target_."
    ]


def _takes_any(known: Mapping[str, inspect.Parameter]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())


def _missing(node: Mapping[str, Any], known: Mapping[str, inspect.Parameter], at: str) -> dict[str, str]:
    """Return a problem, by key, for each parameter that must be given by keyword and is not."""
    return {
        f"{at}.{name}": f"`{at}.{name}` must be given. Set {at}.{name}."
        for name, parameter in known.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and parameter.default is inspect.Parameter.empty
        and name not in node
    }
