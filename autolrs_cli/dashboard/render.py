"""`render(state, width, height)`: the live view, a pure function of the state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autolrs_cli.dashboard import words
from autolrs_cli.dashboard.state import State, TrialRow

BLOCKS = "▁▂▃▄▅▆▇█"
# Rows around the two tables: head, words, bar, figures, two curves, and a spare line for the cursor.
FIXED_ROWS = 11
MIN_TABLE_ROWS = 3


def render(state: State, width: int, height: int) -> RenderableType:
    """Return the view for a terminal of `width` columns and `height` rows."""
    if not state.description:
        return Text("starting: loading libraries and data ...")
    rows = max(MIN_TABLE_ROWS, height - FIXED_ROWS)
    parts: list[RenderableType] = [
        _title(state, width),
        Text(words.activity(state), style="bold", no_wrap=True, overflow="ellipsis"),
        _progress(state, width),
        _figures(state),
        *_curves(state, width),
    ]
    if state.num_stages:
        parts.append(_tables(state, rows, width))
    parts += [Text(f"warning: {message}", style="yellow") for message in state.warnings[-1:]]
    return Group(*parts)


def _title(state: State, width: int) -> Text:
    d = state.description
    search = f" search={d['search']}" if d.get("search") else ""
    text = Text(
        f"autolrs  {d['recipe']} scale={d['scale']} schedule={d['schedule']}{search} seed={d['seed']}"
    )
    text.append(f"\n{d['data']}; {d['device']}, {d['precision']}", style="dim")
    for line in text.split():
        line.truncate(width, overflow="ellipsis")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _progress(state: State, width: int) -> RenderableType:
    done, planned = state.total_steps, max(state.planned_steps, 1)
    left = "" if state.ended else f"  {words.duration(state.seconds_left)} left"
    search = f" ({state.total_steps - state.step} of them search)" if state.num_stages else ""
    text = f" {done}/{planned} steps{search}{left}"
    grid = Table.grid()
    grid.add_row(ProgressBar(total=planned, completed=done, width=max(10, width - len(text) - 1)), text)
    return grid


def _figures(state: State) -> Text:
    parts = [f"LR {words.lr(state.lr)}"]
    if state.losses.items:
        parts.append(f"training loss {words.number(state.loss)}")
    if state.evals:
        parts.append(f"held out: {words.metrics(state.evals[-1])}")
    if state.target_reached:
        parts.append(f"target reached at step {state.target_reached['reached_step']}")
    return Text("   ".join(parts), no_wrap=True, overflow="ellipsis")


def _curves(state: State, width: int) -> list[Text]:
    room = max(10, width - 34)
    lrs = [math.log10(lr) for _, lr in state.lrs.items if lr > 0]
    losses = [loss for _, loss in state.losses.items]
    found = []
    if lrs:
        ends = f"{words.lr(10 ** min(lrs))} to {words.lr(10 ** max(lrs))}"
        found.append(_curve("LR (log)", lrs, ends, room, "cyan"))
    if losses:
        ends = f"{words.number(min(losses), 3)} to {words.number(max(losses), 3)}"
        found.append(_curve("loss", losses, ends, room, "green"))
    return found


def _curve(name: str, values: Sequence[float], ends: str, room: int, style: str) -> Text:
    text = Text(f"{name:<9}", no_wrap=True, overflow="ellipsis")
    text.append(sparkline(values, room), style=style)
    return text.append(f"  {ends}", style="dim")


def sparkline(values: Sequence[float], room: int) -> str:
    """Return `values` as one row of blocks at most `room` wide: the mean of each bin, scaled to the range."""
    bins = min(room, len(values))
    edges = [round(i * len(values) / bins) for i in range(bins + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)


def _tables(state: State, rows: int, width: int) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    trials = _trials(state, rows)
    if width < 80:
        return trials
    grid.add_row(_chosen(state, rows), trials)
    return grid


def _chosen(state: State, rows: int) -> Table:
    table = Table(box=None, pad_edge=False, title="chosen", title_justify="left", title_style="bold")
    for name in ("stage", "from step", "LR"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in state.chosen[-(rows - 2) :]:
        mark = " !" if row.flags else ""
        table.add_row(str(row.stage + 1), str(row.first_step), words.lr(row.lr) + mark, style="cyan")
    return table


def _trials(state: State, rows: int) -> Table:
    table = Table(
        box=None, pad_edge=False, title="trials of this stage", title_justify="left", title_style="bold"
    )
    for name in ("#", "LR", "steps", "loss", "predicted"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for row in state.trials[-(rows - 2) :]:
        table.add_row(
            str(row.index + 1),
            words.lr(row.lr),
            str(row.step),
            words.number(row.loss),
            words.number(row.predicted),
            _verdict(row),
            style=_style(row),
        )
    return table


def _verdict(row: TrialRow) -> str:
    if row.status == "ok":
        return "; ".join(filter(None, ("best" if row.best else "", words.flags(row.flags))))
    return row.status


def _style(row: TrialRow) -> str:
    if row.status == "diverged":
        return "red"
    return "bold green" if row.best else ""
