"""Values are checked where they are annotated: of a user's class as of ours, from a configuration as in Python."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field
from refusals import node

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.instantiate import build
from autolrs_cli.values import Fraction, HeldOutFraction, PositiveFloat, PositiveInt, checked, unchecked

BUILT: list[dict[str, Any]] = []


class Theirs:
    """As somebody may write it who knows pydantic and nothing of ours."""

    def __init__(
        self,
        *,
        count: Annotated[int, Field(gt=0, lt=10)],
        share: Annotated[float, Field(ge=0)] | None = None,
        names: Sequence[str] | str = "",
        anything: Any = None,
    ) -> None:
        BUILT.append({"count": count, "share": share, "names": names, "anything": anything})


@checked
@dataclass
class Parent:
    count: PositiveInt


@checked
@dataclass
class Child(Parent):
    weights: Annotated[Sequence[PositiveFloat], Field(min_length=1)]
    held_out: HeldOutFraction = 0.5


@checked
def function(groups: list[int], *, share: Fraction = 0.5) -> tuple[list[int], float]:
    """Say what was given."""
    return groups, share


def said(**settings: Any) -> list[str]:
    try:
        build(node(Theirs, **settings), "theirs", rules=lambda _: ["A rule was asked."])
    except ConfigError as error:
        return list(error.problems)
    raise AssertionError("it was built")


def test_what_a_users_class_says_with_pydantic_holds() -> None:
    assert said(count=10) == [
        "`theirs.count` must be less than 10, but got theirs.count=10. Set theirs.count."
    ]
    assert said(count=0, share=-1, names=["a", 5]) == [
        "`theirs.count` must be greater than 0, but got theirs.count=0. Set theirs.count.",
        "`theirs.share` must be greater than or equal to 0, but got theirs.share=-1. Set theirs.share.",
        "`theirs.names[1]` must be a valid string, but got theirs.names[1]=5. "
        "If that is meant as text, quote it: 'theirs.names[1]=\"5\"'.",
    ]
    for count in (True, 1.0, "1", None):
        assert said(count=count)[0].startswith("`theirs.count` must be a valid integer, but got")


def test_a_users_constructor_never_sees_a_wrong_value() -> None:
    BUILT.clear()
    said(count=10)
    assert BUILT == []
    assert said(count=1, anything={"x": 1}) == ["A rule was asked."]
    assert BUILT == [{"count": 1, "share": None, "names": "", "anything": {"x": 1}}]


def test_a_constructor_in_python_says_everything_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Child(0, [1.0, -1.0, float("nan")], held_out=1)
    assert [problem.split(", but got")[0] for problem in caught.value.problems] == [
        "`count` must be greater than 0",
        "`weights[1]` must be greater than 0",
        "`weights[2]` must be a finite number",
        "`held_out` must lie between 0 and 1, both excluded, to hold examples and leave some for training",
    ]
    with pytest.raises(ConfigError, match="`weights` must have at least 1 item, but got"):
        Child(1, ())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'weights'"):
        Child(1)  # type: ignore[call-arg]


def test_what_was_given_is_kept_as_it_is() -> None:
    weights = (1, 2)
    child = Child(1, weights)
    assert child.weights is weights
    assert pickle.loads(pickle.dumps(child)) == child


def test_functions_too() -> None:
    groups = [1]
    assert function(groups, share=0)[0] is groups
    with pytest.raises(ConfigError, match="`share` must be less than or equal to 1, but got share=2"):
        function(groups, share=2)


def test_a_check_that_was_lifted_is_back_afterwards() -> None:
    with unchecked():
        assert Parent(-1).count == -1
    with pytest.raises(ConfigError):
        Parent(-1)
