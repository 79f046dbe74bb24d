"""How every figure looks: colours that colour-blind readers and grey printers tell apart, and no global state.

Colours: Okabe & Ito 2008, "Color Universal Design", without the yellow, which white paper swallows. Each comes with a
line style and a marker of its own.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 150
PANEL_INCHES = (4.6, 3.1)
SETTINGS = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "autolrs",  # equal figures make equal files
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Style:
    """How one arm is drawn, in every figure."""

    colour: str
    line: Any
    marker: str


def styles(names: Sequence[str]) -> dict[str, Style]:
    """Return a style for each arm, black for the first alone; colours that come again have other lines and markers."""
    found = {}
    for i, name in enumerate(names):
        turn, place = divmod(i - 1, len(COLOURS) - 1) if i else (0, -1)
        other = (place + 1 + 2 * turn) % len(LINES)
        found[name] = Style(COLOURS[place + 1], LINES[other], MARKERS[other])
    return found


@contextmanager
def figure(columns: int = 1, rows: int = 1, inches: tuple[float, float] = PANEL_INCHES) -> Iterator[Figure]:
    """Yield an empty figure for `columns` x `rows` panels of that size; label its log axes when it is drawn."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        made = Figure(figsize=(inches[0] * columns, inches[1] * rows), layout="constrained")
        FigureCanvasAgg(made)
        yield made
        for axes in made.axes:
            _label_plainly(axes.xaxis)
            _label_plainly(axes.yaxis)


def _label_plainly(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, and between the decades where there are few."""
    if axis.get_scale() != "log":
        return
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axis.set_major_formatter(plain)
    if decades < 2:
        axis.set_minor_locator(LogLocator(subs=(2, 5) if decades > 0.8 else (1.5, 2, 3, 4, 5, 7)))
        axis.set_minor_formatter(plain)
    else:
        axis.set_minor_formatter(NullFormatter())


def legend_below(
    figure: Figure, names: Sequence[str], look: dict[str, Style], columns: int = 4, note: str | None = None
) -> None:
    """Put one legend for all panels under them, where it covers no data; `note` stands above it."""
    handles = [
        Line2D(
            [], [], color=look[name].colour, linestyle=look[name].line, marker=look[name].marker, markersize=5
        )
        for name in names
    ]
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(columns, len(names)),
        handlelength=4,
        title=note,
        title_fontsize=8,
    )


def save(made: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        made.draw_without_rendering()
        made.set_layout_engine("none")  # it is laid out now; each file would do it again
        made.savefig(paths[0], dpi=DPI, metadata={"Software": None})
        made.savefig(paths[1], metadata={"Date": None, "Creator": None})
    return paths


def as_data_url(png: Path) -> str:
    """Return an image as text that HTML shows without a file beside it."""
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"
