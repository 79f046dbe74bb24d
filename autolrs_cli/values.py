"""Values of settings: their types, the words for one that does not fit, and constructors that check what they get.

Whatever a configuration builds, ours or a user's, says in its annotations which values it takes; the same annotations
are checked when it is built in Python (`checked`). What pydantic's `Field` can say needs no code anywhere else.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from autolrs_cli.errors import ConfigError
from autolrs_cli.wording import as_text

T = TypeVar("T", bound=Callable[..., Any])


def _held_out(value: float) -> float:
    if 0 < value < 1:
        return value
    raise PydanticCustomError(
        "held_out", "lie between 0 and 1, both excluded, to hold examples and leave some for training"
    )


PositiveInt = Annotated[int, Field(strict=True, gt=0)]
NonNegativeInt = Annotated[int, Field(strict=True, ge=0)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
"""In [0, 1]."""
PositiveFraction = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
"""In (0, 1]."""
ProperFraction = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
"""In (0, 1)."""
HeldOutFraction = Annotated[float, Field(strict=True), AfterValidator(_held_out)]
"""A slice's share of the examples, in (0, 1)."""

_SCALARS = (int, float, str, bool, type(None))
_unchecked = ContextVar("_unchecked", default=False)


def checked(target: T) -> T:
    """Decorate a class or function: called with a value that its annotations do not allow, it raises.

    A dataclass needs it on each subclass, which has a constructor of its own.

    Raises:
        ConfigError: from the decorated one, with every wrong value.
    """
    if inspect.isclass(target):
        cls: Any = target
        cls.__init__ = _checking(target, cls.__init__)
        return target
    return typing.cast(T, _checking(target, target))


def _checking(target: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = {} if _unchecked.get() else signature.bind(*args, **kwargs).arguments
        except TypeError:
            arguments = {}  # the call itself says it best
        if found := argument_problems(target, arguments):
            raise ConfigError(list(found.values()))
        return function(*args, **kwargs)

    return call


@contextmanager
def unchecked() -> Iterator[None]:
    """Let constructors take whatever they get: for asking what else is wrong, not for training."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def parameters(target: Callable[..., Any]) -> tuple[Mapping[str, inspect.Parameter], Mapping[str, Any]]:
    """Return the parameters of a function, or of a class's constructor, and their types.

    Raises:
        ValueError, TypeError, NameError: it does not say what it takes (what is written in C need not).
    """
    function = target.__init__ if inspect.isclass(target) else target
    # A dataclass inherits fields from other modules, where alone their types have a meaning.
    own = is_dataclass(target) and getattr(target, "__dataclass_params__").init  # noqa: B009 - unknown to mypy
    hints = typing.get_type_hints(target if own else function, include_extras=True)
    return inspect.signature(function).parameters, hints


def argument_problems(
    target: Callable[..., Any], arguments: Mapping[str, Any], at: str = ""
) -> dict[str, str]:
    """Return a message for each argument that its annotation does not allow, by key.

    Arguments that pydantic cannot judge, such as models and data, are let pass.

    Args:
        target: class or function.
        arguments: by name of the parameter.
        at: key under which they stand in a configuration; empty: they were given in Python.
    """
    if not arguments:
        return {}
    found: dict[str, str] = {}
    judges = _judges(target)
    for name, value in arguments.items():
        if name in judges:
            found |= _mismatches(judges[name], value, f"{at}.{name}" if at else name)
    return found


@functools.cache
def _judges(target: Callable[..., Any]) -> dict[str, TypeAdapter[Any]]:
    _, annotations = parameters(target)
    return {name: TypeAdapter(hint) for name, hint in annotations.items() if _is_plain(hint)}


def _is_plain(annotation: Any) -> bool:
    """Whether pydantic can judge the value: scalars, literals, and unions and sequences of them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _is_plain(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, list, Sequence):
        return all(_is_plain(part) for part in typing.get_args(annotation))
    return annotation in _SCALARS or origin is Literal


def _mismatches(judge: TypeAdapter[Any], value: Any, key: str) -> dict[str, str]:
    """Return what is wrong with a value, and with the items of a list, by key."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = list(value)  # of OmegaConf's lists, for example, pydantic would say that they are none
    try:
        judge.validate_python(value, strict=True)
    except ValidationError as error:
        errors = error.errors()
    else:
        return {}
    found: dict[str, str] = {}
    for each in errors:
        if each["loc"][:1] != errors[0]["loc"][:1] and not isinstance(each["loc"][0], int):
            break  # another branch of a union, which says the same in other words
        item = "".join(f"[{part}]" for part in each["loc"] if isinstance(part, int))
        found.setdefault(key + item, complaint(key + item, each))
    return found


def complaint(key: str, error: Mapping[str, Any]) -> str:
    """Say in our words what pydantic found wrong with the value of `key`.

    Args:
        key: dotted, as a person would write it.
        error: one of `ValidationError.errors()`.
    """
    given = error["input"]
    way_out = f"Set {key}."
    if error["type"] == "string_type" and isinstance(given, int | float):
        way_out = f"If that is meant as text, quote it: {as_text(key, str(given))}."
    return f"`{key}` must {_wanted(error)}, but got {key}={given!r}. {way_out}"


def _wanted(error: Mapping[str, Any]) -> str:
    """Return what should have been given, to stand after "must"."""
    if error["type"] in ("is_instance_of", "sequence_str", "list_type"):
        return "be a list"
    if error["type"] in ("model_type", "dict_type"):
        return "be a group of settings"
    # Pydantic: "Input should be ..., unable to ...", "Value should have ... after validation", "Value error, ...".
    words = re.sub(r"^(\w+ should |Value error, )", "", error["msg"])
    return re.split(", unable| after validation", words)[0]
