"""Opening a run of a table by keys: what is pressed, and what it does."""

from __future__ import annotations

import pytest

from autolrs_cli.dashboard.keys import named
from autolrs_cli.dashboard.navigation import Navigation


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"]),
        ("12\rq", ["1", "2", "enter", "q"]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1b\x1b[A", ["escape", "up"]),
        ("\x1b[3~\x1b[1;5C\x1b[15~\x1bq\n", ["enter"]),
        ("\x04", ["q"]),
    ],
    ids=repr,
)
def test_what_a_terminal_sends(text: str, keys: list[str]) -> None:
    assert named(text) == keys


def pressed(keys: list[str], count: int = 12) -> Navigation:
    navigation = Navigation()
    for key in keys:
        navigation.press(key, count)
    return navigation


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        ([], 1),
        (["down", "down"], 3),
        (["up"], 1),
        (["down"] * 20, 12),
        (["3"], 3),
        (["1", "2"], 12),
        (["1", "3"], 3),
        (["1", "down", "2"], 2),
        (["5", "0"], 5),
        (["x", "²", "escape"], 1),
    ],
    ids=str,
)
def test_which_run_is_marked(keys: list[str], number: int) -> None:
    navigation = pressed(keys)
    assert (navigation.marked + 1, navigation.opened, navigation.left) == (number, False, False)


@pytest.mark.parametrize("back", ["escape", "q"])
def test_enter_opens_the_marked_one_and_there_is_a_way_back(back: str) -> None:
    assert pressed(["4", "enter"]).opened
    assert pressed(["4", "enter", "down", "7"]).marked == 3, "in an open run nothing else is marked"
    navigation = pressed(["4", "enter", back])
    assert (navigation.marked, navigation.opened, navigation.left) == (3, False, False)


def test_q_in_the_table_leaves() -> None:
    assert pressed(["q"]).left
    assert not pressed(["escape"]).left
