"""Several runs on one screen, a line each."""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from autolrs_cli.dashboard import status_text
from autolrs_cli.dashboard.curves import sparkline
from autolrs_cli.dashboard.head import line
from autolrs_cli.dashboard.run_state import State
from autolrs_cli.dashboard.watched import WatchedRun
from autolrs_cli.terminal import formats

# Columns behind the name, in narrow and wide terminals.
WIDE = 120
STATUS, STEP, LR, LEFT = 8, 13, 7, 8
CURVE = {False: 8, True: 24}
METRIC = {False: 15, True: 24}
# The curve and the metric begin at the left of their columns.
LEFT_ALIGNED = (3, 4)
MIN_NAME = 12
STYLES = {"running": "bold", "done": "green", "failed": "red", "killed": "red", "stopped": "yellow"}
# Those that change come first where rows are short.
OPEN_BY_KEY = "up, down or a number, then Enter: open a run; q: leave"
ORDER = ("running", "starting", "killed", "failed", "stopped", "empty", "done")


def overview(
    runs: Sequence[WatchedRun], width: int, height: int, *, unicode: bool = True, marked: int | None = None
) -> list[Text]:
    """Return a table of the runs, and how to look at one.

    Args:
        runs: refreshed.
        width: columns.
        height: rows; the table leaves one for the cursor.
        unicode: False gives ASCII characters only.
        marked: place of the run that a key would open, where keys are read; the runs then have numbers.
    """
    room = max(1, height - 4)
    shown = list(runs)
    if len(shown) > room:
        ranked = sorted(range(len(runs)), key=lambda i: (i != marked, ORDER.index(runs[i].status), i))[:room]
        shown = [runs[i] for i in sorted(ranked)]
    names = _names([run.directory.root.as_posix() for run in runs])
    numbers = [_number(i, len(runs), marked) for i in range(len(runs))]
    wide = width >= WIDE
    columns = (STATUS, STEP, LR, CURVE[wide], METRIC[wide], LEFT)
    name_room = max(MIN_NAME, width - sum(columns) - len(columns))
    rows: list[tuple[str, ...]] = [("run", "status", "step", "LR", "LR, log", "metric", "left")]
    places = [runs.index(run) for run in shown]
    rows += [(names[i], *_values(runs[i], wide, unicode)) for i in places]
    before = [" " * len(numbers[0]), *(numbers[i] for i in places)]
    styles = ["bold", *(f"{'reverse ' * (i == marked)}{STYLES.get(runs[i].status, '')}" for i in places)]
    lines = [
        line(number + _row(row, name_room - len(number), columns, unicode), width, style)
        for number, row, style in zip(before, rows, styles, strict=True)
    ]
    hint = _open_one(runs) if marked is None else OPEN_BY_KEY
    return [*lines, line(_totals(runs, len(shown)), width), line(hint, width, "dim")]


def _number(place: int, count: int, marked: int | None) -> str:
    """Return what stands before a run's name: its number, and a mark where Enter would open it."""
    return "" if marked is None else f"{'>' if place == marked else ' '}{place + 1:>{len(str(count))}} "


def _values(run: WatchedRun, wide: bool, unicode: bool) -> tuple[str, ...]:
    state = run.state
    return (
        run.status,
        f"{state.step}/{state.plan['max_steps']}" if state.plan else "-",
        formats.lr(state.lr),
        _lr_line(state, CURVE[wide], unicode=unicode),
        _metric(state, METRIC[wide]),
        "-" if state.over else formats.duration(state.seconds_left),
    )


def _row(values: Sequence[str], name_room: int, columns: Sequence[int], unicode: bool) -> str:
    name, *others = values
    cells = [
        value.ljust(room) if number in LEFT_ALIGNED else value.rjust(room)
        for number, (value, room) in enumerate(zip(others, columns, strict=True))
    ]
    return " ".join([_shortened(name, name_room, unicode=unicode).ljust(name_room), *cells])


def _lr_line(state: State, room: int, *, unicode: bool) -> str:
    values = [math.log10(lr) for _, lr in state.lrs.items if lr > 0]
    return sparkline(values, room, unicode=unicode) if values else ""


def _metric(state: State, room: int) -> str:
    """Return the recipe's metric, marked where the target is reached."""
    if not state.description:
        return "-"
    name = state.description["metric"]["name"]
    value = formats.number(status_text.measured(state, name))
    mark = " *" if state.target_reached else ""
    return f"{name[: room - len(value) - len(mark) - 1]} {value}{mark}"


def _names(paths: Sequence[str]) -> list[str]:
    """Return the paths without what they have in common."""
    if len({Path(path).is_absolute() for path in paths}) != 1 or len(paths) < 2:
        return list(paths)
    common = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return [os.path.relpath(path, common or ".") for path in paths]


def _shortened(name: str, room: int, *, unicode: bool) -> str:
    return name if len(name) <= room else ("…" if unicode else "~") + name[-(room - 1) :]


def _totals(runs: Sequence[WatchedRun], shown: int) -> str:
    counts = Counter(run.status for run in runs)
    text = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    hidden = f"; {len(runs) - shown} more not shown" if shown < len(runs) else ""
    reached = sum(run.state.target_reached is not None for run in runs)
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}: {text}{hidden}" + (
        f"; {reached} reached the target (*)" if reached else ""
    )


def _open_one(runs: Sequence[WatchedRun]) -> str:
    by_status = {run.status: run for run in reversed(runs)}
    run = next(by_status[status] for status in ORDER if status in by_status)
    path = shlex.quote(str(run.directory.root))
    follow = " --follow" if run.worked_on else ""
    stopped = run.status in ("killed", "stopped")
    return f"to open one: autolrs watch {path}{follow}" + (
        f"   to go on: autolrs resume {path}" if stopped else ""
    )
