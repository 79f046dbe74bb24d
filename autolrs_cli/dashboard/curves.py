"""The three charts: the LR over steps, the losses over steps, and the search's belief over the LR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from autolrs_cli.dashboard.axes import Axis, axis_over
from autolrs_cli.dashboard.chart import MIN_HEIGHT, MIN_WIDTH, Series, chart
from autolrs_cli.dashboard.run_state import Points, Record, State, Tried

# A loss axis is logarithmic where the losses span more than this ratio.
LOG_RATIO = 10.0
# The shortest x axis is this part of the run; it doubles as the run goes on.
SHORTEST_PART = 64
BAND_SDS = 2.0
MARKS = {True: ("•", "x", "◆"), False: ("o", "x", "*")}
AVERAGED = "+"
Legend = tuple[tuple[str, str], ...]


def lr_chart(state: State, width: int, height: int, *, unicode: bool) -> list[Text]:
    """Return the chosen LR over kept steps on a log axis, with every LR that was tried.

    Args:
        state: the run.
        width: columns.
        height: rows, the title line included.
        unicode: False draws with ASCII characters only.
    """
    dot, cross, diamond = MARKS[unicode]
    now = [trial for trial in state.trials if trial.status == "running"]
    tried = [each for each in state.tried if each.lr > 0]
    kept = [(step, lr) for step, lr in state.lrs.items if lr > 0]
    values = [lr for _, lr in kept] + [each.lr for each in tried] + [trial.lr for trial in now]
    legend: Legend = (("LR log", "bold"), ("- kept", "cyan"))
    if state.is_searched:
        legend += (
            (f"{dot} tried", "bright_black"),
            (f"{cross} diverged", "red"),
            (f"{diamond} now", "yellow"),
        )
    if not values:
        return _nothing(legend, width, height, "no step yet")
    series = [
        _tried([each for each in tried if each.status != "diverged"], "dim", dot),
        _line(kept, width, "cyan"),
        _tried([each for each in tried if each.status == "diverged"], "red", cross),
        _marks([(state.step, trial.lr) for trial in now], "yellow", diamond),
    ]
    return _framed(
        legend, series, _steps_axis(state), axis_over(values, log=True, powers=True), width, height, unicode
    )


def loss_chart(state: State, width: int, height: int, *, unicode: bool) -> list[Text]:
    """Return the training loss over kept steps and the held-out losses, raw and averaged weights apart."""
    dot = MARKS[unicode][0]
    training = list(state.losses.items)
    raw, averaged = (_held_out(state, weights) for weights in ("raw", "averaged"))
    values = [value for _, value in (*training, *raw, *averaged)]
    log = bool(values) and min(values) > 0 and max(values) / min(values) > LOG_RATIO
    legend: Legend = ((f"loss{' log' if log else ''}", "bold"), ("- training", "green"))
    if raw:
        legend += ((f"{dot} held out", "magenta"),)
    if averaged:
        legend += ((f"{AVERAGED} averaged", "yellow"),)
    if not values:
        return _nothing(legend, width, height, "no loss yet")
    series = [
        _line(training, width, "green", mean=True),
        _marks(raw, "magenta", dot),
        _marks(averaged, "yellow", AVERAGED),
    ]
    return _framed(legend, series, _steps_axis(state), axis_over(values, log=log), width, height, unicode)


def surrogate_chart(state: State, width: int, height: int, *, unicode: bool) -> list[Text]:
    """Return the predicted loss over the LR with its band, the tried points, and the next question."""
    dot, _, diamond = MARKS[unicode]
    believed, stage = state.surrogate, state.stage
    tried = [(trial.lr, trial.predicted) for trial in state.trials if trial.predicted is not None]
    best = [(t.lr, t.predicted) for t in state.trials if t.best and t.predicted is not None]
    now = next((trial.lr for trial in state.trials if trial.status == "running"), None)
    legend: Legend = (("predicted loss over LR", "bold"), ("- mean", "cyan"))
    legend += (
        (f". {BAND_SDS:g} sd", "bright_black"),
        (f"{dot} tried", "magenta"),
        (f"{diamond} best", "green"),
    )
    if now is not None:
        legend += (("| now", "yellow"),)
    if stage is None or (believed is None and not tried):
        return _nothing(legend, width, height, "no trial finished yet")
    series, values = [], [value for _, value in tried]
    if believed is not None:
        series += _belief(believed, width)
        values += [value for value in believed["mean"] if value is not None]
        values += _near(believed, values)
    series += [_marks(tried, "magenta", dot), _marks(best, "green", diamond)]
    x = Axis(stage["lr_min"] / 1.02, _highest_lr(state) * 1.02, log=True, label="LR", powers=True)
    return _framed(legend, series, x, axis_over(values, log=False), width, height, unicode, cursor=now)


def _belief(believed: Record, width: int) -> list[Series]:
    rows = [
        row for row in zip(believed["lrs"], believed["mean"], believed["std"], strict=True) if None not in row
    ]
    every = max(1, len(rows) // max(1, width - 8))
    rows = rows[::every]
    lrs = tuple(lr for lr, _, _ in rows)
    ends = [tuple(mean + sign * BAND_SDS * std for _, mean, std in rows) for sign in (-1, 1)]
    return [Series(lrs, end, "dim") for end in ends] + [Series(lrs, tuple(m for _, m, _ in rows), "cyan")]


def _near(believed: Record, values: Sequence[float]) -> list[float]:
    """Return the ends of the band, cut off at half the range of the means and points beyond them."""
    low, high = min(values), max(values)
    air = (high - low) / 2 or 1.0
    pairs = zip(believed["mean"], believed["std"], strict=True)
    ends = [m + sign * BAND_SDS * s for m, s in pairs if m is not None and s is not None for sign in (-1, 1)]
    return [min(max(end, low - air), high + air) for end in ends]


def _highest_lr(state: State) -> float:
    assert state.stage is not None
    return max([float(state.stage["lr_max"]), *(trial.lr for trial in state.trials)])


def _tried(tried: Sequence[Tried], colour: str, mark: str) -> Series:
    return _marks([(each.step, each.lr) for each in tried], colour, mark)


def _held_out(state: State, weights: str) -> Sequence[tuple[int, float]]:
    held = state.held_out.get(weights)
    return held.losses.items if held else Points().items


def _marks(points: Sequence[tuple[float, float]], colour: str, mark: str) -> Series:
    return Series(tuple(x for x, _ in points), tuple(y for _, y in points), colour, mark)


def _line(points: Sequence[tuple[int, float]], width: int, colour: str, *, mean: bool = False) -> Series:
    """Return a line with no more points than columns; the last one is where the run is.

    Args:
        points: in order.
        width: columns.
        colour: of the line.
        mean: each point is the mean of those it stands for, which takes out noise; else it is one of them.
    """
    every = max(1, math.ceil(len(points) / max(1, width)))
    if mean and every > 1:
        groups = [points[i : i + every] for i in range(0, len(points), every)]
        means = [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
        return Series(tuple(x for x, _ in means), tuple(y for _, y in means), colour)
    kept = [*points[::every], *points[-1:]]
    return Series(tuple(x for x, _ in kept), tuple(y for _, y in kept), colour)


def _steps_axis(state: State) -> Axis:
    """Return the first half, quarter, ... of the run that holds the present, so that the picture keeps still."""
    whole = max(int(state.plan.get("max_steps", 0)), state.step, 1)
    part = 1
    while part < SHORTEST_PART and state.step * 2 * part <= whole:
        part *= 2
    return Axis(0, max(whole / part, 1), label="kept steps")


def _framed(
    legend: Legend,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    width: int,
    height: int,
    unicode: bool,
    cursor: float | None = None,
) -> list[Text]:
    if width < MIN_WIDTH or height - 1 < MIN_HEIGHT:
        return _nothing(legend, width, height, "")
    lines = chart(tuple(series), x, y, width, height - 1, unicode=unicode, cursor=cursor)
    return [_title(legend, width), *lines]


def _nothing(legend: Legend, width: int, height: int, why: str) -> list[Text]:
    middle = Text(why.center(width)[:width], style="dim")
    rows = [Text("")] * max(0, height - 1)
    if rows:
        rows[len(rows) // 2] = middle
    return [_title(legend, width), *rows][:height]


def _title(legend: Legend, width: int) -> Text:
    """Return as much of the legend as fits, whole entries only."""
    text = Text()
    gap = " " * (2 if sum(len(name) + 2 for name, _ in legend) <= width + 2 else 1)
    for name, style in legend:
        if text.cell_len + len(gap + name) > width and text:
            break
        text.append(gap if text else "").append(name, style=style)
    text.truncate(width)
    return text


def sparkline(values: Sequence[float], room: int, *, unicode: bool = True) -> str:
    """Return `values` as one row of blocks at most `room` wide: the mean of each bin, scaled to the range."""
    blocks = "▁▂▃▄▅▆▇█" if unicode else "_.-=+*#@"
    bins = min(room, len(values))
    edges = [round(i * len(values) / bins) for i in range(bins + 1)] if bins else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if not means:
        return ""
    low, high = min(means), max(means)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((mean - low) * scale)] for mean in means)
