"""`render(state, width, height)`: the live view, a pure function of the state.

Priorities decide what a small terminal shows: the sentence that says what is going on and the progress first, then
the LR chart and the stage's trials, then the losses, then the surrogate and the chosen LRs.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from autolrs_cli.dashboard.curves import loss_chart, lr_chart, sparkline, surrogate_chart
from autolrs_cli.dashboard.head import fitted, head, line
from autolrs_cli.dashboard.run_state import State
from autolrs_cli.dashboard.tables import chosen_table, trials_table

__all__ = ["frame", "render", "sparkline"]

# From this width on, charts and tables stand side by side.
WIDE = 116
VERY_WIDE = 150
GAP = 3
MIN_CHART = 6
# Title, heading, and a few trials.
MIN_TRIALS, MAX_TRIALS = 5, 14
MIN_SURROGATE = 9
MAX_SURROGATE = 18
# What is not ASCII in our own lines, where the terminal cannot show it.
TO_ASCII = str.maketrans("┤├┬┴┼│─└┘┌┐…•◆━╸", "+++++|-++++~o*##")


def render(state: State, width: int, height: int, *, unicode: bool = True) -> RenderableType:
    """Return the view for a terminal of `width` columns and `height` rows.

    Args:
        state: what to show.
        width: columns of the terminal.
        height: its rows; one is left for the cursor.
        unicode: False gives ASCII characters only.
    """
    lines = [each.copy() for each in frame(state, width, height, unicode=unicode)]
    for each in lines:
        each.no_wrap, each.overflow = True, "crop"
    return Group(*lines)


def frame(state: State, width: int, height: int, *, unicode: bool = True) -> list[Text]:
    """Return the view as lines, none wider than `width`, fewer than `height`."""
    rows = max(1, height - 1)
    top = head(state, width, height, unicode=unicode)
    foot = [line(f"run directory: {state.directory}", width, "dim")] if state.directory else []
    if not state.description or rows <= len(top) + MIN_CHART:
        lines = fitted(top, rows)
    else:
        body = _body(state, width, rows - len(top) - len(foot), unicode)
        lines = [*top.values(), *body, *foot]
    return lines if unicode else [ascii_only(each) for each in lines]


def ascii_only(text: Text) -> Text:
    """Return a line in ASCII characters of the same width, with its styles."""
    plain = text.plain.translate(TO_ASCII).encode("ascii", "replace").decode("ascii")
    return Text(plain, style=text.style, spans=text.spans, no_wrap=True)


def _body(state: State, width: int, rows: int, unicode: bool) -> list[Text]:
    if rows < MIN_CHART:
        return []
    if not state.is_searched:
        return _charts(state, width, rows, unicode)
    if width >= WIDE and state.stage is not None:
        return _side_by_side(state, width, rows, unicode)
    trials = trials_table(state, width, _trial_rows(state, rows))
    return [*_charts(state, width, rows - len(trials), unicode), *trials]


def _charts(state: State, width: int, rows: int, unicode: bool) -> list[Text]:
    """Return both curves: one above the other where there is room, else beside each other, else the LR alone."""
    if rows < MIN_CHART:
        return []
    if rows >= 3 * MIN_CHART and state.is_searched and width < WIDE and state.stage is not None:
        third = rows // 3
        lower = surrogate_chart(state, width, third, unicode=unicode)
        return (
            [*_charts(state, width, rows - third, unicode), *lower]
            if rows >= 5 * MIN_CHART
            else _stacked(state, width, rows, unicode)
        )
    if rows >= 2 * MIN_CHART + 2:
        return _stacked(state, width, rows, unicode)
    half = (width - GAP) // 2
    left = lr_chart(state, half, rows, unicode=unicode)
    return beside(left, loss_chart(state, width - half - GAP, rows, unicode=unicode), half)


def _stacked(state: State, width: int, rows: int, unicode: bool) -> list[Text]:
    upper = rows - rows // 2
    return [
        *lr_chart(state, width, upper, unicode=unicode),
        *loss_chart(state, width, rows - upper, unicode=unicode),
    ]


def _side_by_side(state: State, width: int, rows: int, unicode: bool) -> list[Text]:
    left_width = (width - GAP) // 2 if width < VERY_WIDE else (width - GAP) * 11 // 20
    right_width = width - GAP - left_width
    left = (
        _stacked(state, left_width, rows, unicode)
        if rows >= 2 * MIN_CHART
        else lr_chart(state, left_width, rows, unicode=unicode)
    )
    assert state.stage is not None
    spare = rows - MIN_SURROGATE - 1 if rows >= MIN_SURROGATE + MIN_TRIALS else rows
    right = trials_table(state, right_width, min(spare, 2 + min(state.stage["num_trials"], MAX_TRIALS)))
    room = rows - len(right) - 1
    if room >= MIN_SURROGATE:
        reserved = min(len(state.chosen) + 3, room // 2) if room >= MIN_SURROGATE + 4 and state.chosen else 0
        high = min(room - reserved, MAX_SURROGATE)
        right += [Text(""), *surrogate_chart(state, right_width, high, unicode=unicode)]
    room = rows - len(right) - 1
    right += [Text(""), *chosen_table(state, right_width, room)] if room >= 3 else []
    return beside(left, right[:rows], left_width)


def _trial_rows(state: State, rows: int) -> int:
    """Return how many rows the table gets in a narrow terminal; the charts get the others."""
    if state.stage is None:
        return 0
    wanted = 2 + min(int(state.stage["num_trials"]), MAX_TRIALS)
    return min(wanted, max(MIN_TRIALS, rows // 2))


def beside(left: list[Text], right: list[Text], width: int) -> list[Text]:
    """Return the lines of `left`, padded to `width`, each followed by one of `right`."""
    rows = max(len(left), len(right))
    lines = []
    for a, b in zip(_filled(left, rows), _filled(right, rows), strict=True):
        joined = a.copy()
        joined.pad_right(max(0, width + GAP - a.cell_len))
        lines.append(joined + b if b.plain else a.copy())
    return lines


def _filled(lines: list[Text], rows: int) -> list[Text]:
    return [*lines, *(Text("") for _ in range(rows - len(lines)))]
