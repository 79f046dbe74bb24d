"""The one place that knows plotext: a chart with labelled axes as lines of rich text.

plotext draws on one figure per process, so charts are drawn one at a time.
"""

from __future__ import annotations

import functools
import re
import threading
from dataclasses import dataclass
from typing import Any

from rich.text import Span, Text

from autolrs_cli.dashboard.axes import Axis, axis_over, ticks

__all__ = ["Axis", "Series", "axis_over", "chart", "warm_up"]

# A canvas smaller than this shows nothing; below it there is no chart.
MIN_WIDTH, MIN_HEIGHT = 24, 5
# Room for one label, with space between labels.
TICK_COLUMNS, TICK_ROWS = 10, 2
WIDE_ENOUGH_FOR_A_LABEL = 60
# plotext's names of the terminal's own colours.
PLOTEXT_COLOURS = {"cyan": 6, "green": 2, "yellow": 3, "red": 1, "magenta": 5, "blue": 4, "dim": 8}
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
STYLES = {f"38;5;{number}": name.replace("dim", "bright_black") for name, number in PLOTEXT_COLOURS.items()}
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Series:
    """What is drawn: a line through points, or a mark on each of them.

    Args:
        xs, ys: coordinates, same length, in the units of the axes; finite, and positive on a log axis.
        colour: a key of PLOTEXT_COLOURS.
        mark: one character for every point; None: the points are joined by a line.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str
    mark: str | None = None


@functools.lru_cache(maxsize=8)
def chart(
    series: tuple[Series, ...],
    x: Axis,
    y: Axis,
    width: int,
    height: int,
    *,
    unicode: bool = True,
    cursor: float | None = None,
) -> tuple[Text, ...]:
    """Return `height` lines of `width` columns; they are shared, so copy what you change.

    A chart costs milliseconds, and most do not change while a trial runs: the last few are kept.

    Args:
        series: drawn in order, the later ones on top.
        x: the horizontal axis; what lies outside is not drawn.
        y: the vertical one.
        width: columns, the labels of the axes included.
        height: rows, likewise.
        unicode: False draws with ASCII characters only.
        cursor: an x marked by a vertical line.
    """
    with _ONE_AT_A_TIME:
        plotext = _plotext()
        figure = plotext.figure
        _prepare(figure, width, height)
        _rule(figure.ruler("x", "lower"), x, max(2, (width - 8) // TICK_COLUMNS))
        _rule(figure.ruler("y", "left"), y, max(2, (height - 2) // TICK_ROWS))
        if cursor is not None and x.holds(cursor):
            _draw(
                plotext,
                Series((cursor, cursor), (y.low, y.high), "yellow"),
                x,
                y,
                "braille" if unicode else "|",
            )
        for each in series:
            _draw(plotext, each, x, y, "braille" if unicode else ".")
        lines = [_decoded(line) for line in figure.build().string().split("\n")[:height]]
    return (*lines[:-1], _labelled(lines[-1], x.label, width))


@functools.cache
def _plotext() -> Any:
    # Imported when the first chart is drawn: runs without a screen need not wait for it.
    import plotext

    plotext.terminal.limit(False, False)
    return plotext


def _prepare(figure: Any, width: int, height: int) -> None:
    figure.clear.data()
    figure.clear.settings()
    figure.theme("colorless")
    figure.canvas("default")
    figure.plot_size(width, height)
    figure.axes(False, axis="x", side="upper")
    figure.axes(False, axis="y", side="right")


def _rule(ruler: Any, axis: Axis, most: int) -> None:
    # plotext's own log scale draws nothing between given limits (6.1), so it is given the logarithms.
    ruler.lim(axis.place(axis.low), axis.place(axis.high))
    at = ticks(axis, most)
    ruler.ticks([axis.place(value) for value, _ in at], [label for _, label in at])


def _draw(plotext: Any, series: Series, x: Axis, y: Axis, line: str) -> None:
    points = zip(series.xs, series.ys, strict=True)
    inside = [(a, b) for a, b in points if x.holds(a) and (y.holds(b) or not series.mark)]
    if not inside:
        return
    pixel = plotext.pixel(foreground=PLOTEXT_COLOURS[series.colour])
    signal = plotext.figure.signal(
        [x.place(a) for a, _ in inside],
        [y.place(y.clip(b)) for _, b in inside],
        marker=plotext.marker(series.mark or line, pixel=pixel),
    )
    if series.mark is None:
        signal.lines()
    plotext.figure.draw(signal)


def _decoded(line: str) -> Text:
    """Return a line of plotext's as rich text (rich's own reader of escape sequences takes several times as long)."""
    plain, spans = "", []
    text, *rest = ESCAPE.split(line)
    plain += text
    for code, piece in zip(rest[::2], rest[1::2], strict=True):
        style = STYLES.get(code)
        if style and piece.strip():
            spans.append(Span(len(plain), len(plain) + len(piece), style))
        plain += piece
    return Text(plain, spans=spans)


def _labelled(ticks_row: Text, label: str, width: int) -> Text:
    """Write the label, or its last word where it is narrow, at the right end of the row of ticks, in place of those."""
    if not label:
        return ticks_row
    label = label if width >= WIDE_ENOUGH_FOR_A_LABEL else label.split()[-1]
    plain = ticks_row.plain.ljust(width)[:width]
    kept = plain[: -len(label) - 1]
    if plain[len(kept) - 1 : len(kept) + 1].strip() == plain[len(kept) - 1 : len(kept) + 1]:
        kept = kept.rstrip().rpartition(" ")[0]  # a tick's number that would be cut in two goes as a whole
    return Text(kept.ljust(width - len(label))) + Text(label, style="italic dim")


def warm_up() -> None:
    """Import plotext, which takes a fraction of a second once."""
    _plotext()
