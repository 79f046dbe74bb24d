"""The one place that knows plotext: a chart with labelled axes as lines of rich text.

plotext draws on one figure per process, so charts are drawn one at a time.
"""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Span, Text

# A canvas smaller than this shows nothing; below it there is no chart.
MIN_WIDTH, MIN_HEIGHT = 24, 5
# Room for one label, with space between labels.
TICK_COLUMNS, TICK_ROWS = 10, 2
MANTISSAS = ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
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


@dataclass(frozen=True)
class Axis:
    """The range of an axis, and whether equal ratios take equal room."""

    low: float
    high: float
    log: bool = False
    label: str = ""
    """What the axis counts; written where there is room."""
    powers: bool = False
    """Whether its labels read 3e-4 throughout."""

    def holds(self, value: float) -> bool:
        """Say whether `value` lies on the axis."""
        return self.low <= value <= self.high

    def place(self, value: float) -> float:
        """Return where `value` lies, in units in which equal distances take equal room."""
        return math.log10(value) if self.log else value

    def clip(self, value: float) -> float:
        """Return the nearest value on the axis."""
        return min(max(value, self.low), self.high)


def axis_over(values: Sequence[float], *, log: bool, powers: bool = False) -> Axis:
    """Return an axis that holds `values` (finite, at least one) with a little air around them."""
    low, high = min(values), max(values)
    if log and low > 0:
        air = max((high / low) ** 0.05, 1.05)
        return Axis(low / air, high * air, log=True, powers=powers)
    air = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return Axis(low - air, high + air)


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


def ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    """Return at most about `most` round values on the axis with their labels."""
    if not (axis.log and axis.low > 0):
        return _linear_ticks(axis, most)
    several = [each for each in (_log_ticks(axis, m) for m in MANTISSAS) if len(each) > 1]
    if not several:
        return [(value, scientific(value, 1)) for value in (axis.low, axis.high)]
    # The finest that fit, else every n-th of the coarsest.
    found = next((each for each in several if len(each) <= most), several[-1])
    return [(value, _power(value, axis)) for value in found[:: math.ceil(len(found) / most)]]


def _log_ticks(axis: Axis, mantissas: Sequence[int]) -> list[float]:
    decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    return [m * 10.0**d for d in decades for m in mantissas if axis.holds(m * 10.0**d)]


def _linear_ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    span = axis.high - axis.low
    power = math.floor(math.log10(span / most)) if span > 0 else 0
    every = next(
        step for step in (f * 10.0 ** (power + p) for p in (0, 1) for f in (1, 2, 5)) if span / step <= most
    )
    first = math.ceil(axis.low / every - 1e-9)
    values = [i * every for i in range(first, math.floor(axis.high / every + 1e-9) + 1)]
    decimals = max(0, -math.floor(math.log10(every) + 1e-9))
    return [(value, _plain(value, decimals)) for value in values]


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
    """Write the label at the right end of the row of ticks, if nothing stands there."""
    plain = ticks_row.plain.ljust(width)[:width]
    if not label or plain[-len(label) - 2 :].strip():
        return ticks_row
    return Text(plain[: -len(label)]) + Text(label, style="italic dim")


def _power(value: float, axis: Axis) -> str:
    small = not axis.powers and axis.low >= 1e-3 and axis.high < 1e4
    return f"{value:g}" if small else scientific(value)


def _plain(value: float, decimals: int) -> str:
    if decimals > 4 or abs(value) >= 1e7:
        return f"{value:.3g}"
    return f"{value:,.{decimals}f}"


def warm_up() -> None:
    """Import plotext, which takes a fraction of a second once."""
    _plotext()


def scientific(value: float, digits: int = 0) -> str:
    """Return 3e-4: the shortest form that lets the eye compare magnitudes."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
