"""How every figure looks: colours that colour-blind readers and grey printers tell apart, and no global state.

Colours: Okabe & Ito 2008, "Color Universal Design", without the yellow, which white paper swallows. Each comes with a
line style and a marker of its own.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from autolrs_cli.reports.figures.fit import MARGIN_INCHES, fit, measure, row_labels, wrapped

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# What speedups are measured in, and how a figure calls it.
MEASURES = (("training", "training-step speedup"), ("net", "net speedup (search included)"))
DPI = 150
LABEL_SIZE = 9
NOTE_SIZE = 8
# Around a legend's sample of a line: to its name, and to the next column.
PADDING_EMS = 3.5
PANEL_INCHES = (4.6, 3.1)
SETTINGS = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a name is a $
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
    """Yield an empty figure for `columns` x `rows` panels of that size.

    When it is drawn, its log axes are labelled, and it is made larger if names and legend leave its panels no room.
    """
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        made = Figure(figsize=(inches[0] * columns, inches[1] * rows), layout="constrained")
        FigureCanvasAgg(made)
        yield made
        for axes in made.axes:
            _label_plainly(axes.xaxis)
            _label_plainly(axes.yaxis)
        fit(made, inches, (columns, rows))


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


def arm_handles(names: Sequence[str], look: Mapping[str, Style]) -> list[Line2D]:
    """Return a sample of each arm's line, for a legend."""
    return [
        Line2D(
            [], [], color=look[name].colour, linestyle=look[name].line, marker=look[name].marker, markersize=5
        )
        for name in names
    ]


def legend_below(
    made: Figure,
    handles: Sequence[Artist],
    names: Sequence[str],
    *,
    columns: int = 4,
    note: str | None = None,
    handle_length: float = 4,
) -> None:
    """Put one legend for all panels under them, where it covers no data; `note` stands above it.

    It has as many columns as fit, `columns` at most; names that are wider than the figure are wrapped.
    """
    room = made.get_figwidth() - 2 * MARGIN_INCHES
    small = measure(NOTE_SIZE)
    said = None if note is None else wrapped(note, room, small)
    size = float(mpl.rcParams["font.size"])
    sample = (handle_length + PADDING_EMS) * size / 72
    widest = max(map(measure(size), names)) + sample
    count = max(1, min(columns, len(names), int(room // widest)))
    texts = row_labels(names, room / count - sample, size)
    legend = made.legend(
        handles,
        ["name"] * len(names),  # a name of its own might begin with _, which legends leave out
        loc="outside lower center",
        ncols=count,
        handlelength=handle_length,
        title=said,
        title_fontsize=NOTE_SIZE,
    )
    for text, name in zip(legend.get_texts(), texts, strict=True):
        text.set_text(name)


def legend_of_labels(made: Figure, columns: int) -> None:
    """Put what is labelled in the panels into one legend under them."""
    found = [axes.get_legend_handles_labels() for axes in made.axes]
    handles = [handle for own, _ in found for handle in own]
    legend_below(made, handles, [name for _, own in found for name in own], columns=columns, handle_length=2)


def save(made: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        made.savefig(paths[0], dpi=DPI, metadata={"Software": None})
        made.savefig(paths[1], metadata={"Date": None, "Creator": None})
    return paths


def as_data_url(png: Path) -> str:
    """Return an image as text that HTML shows without a file beside it."""
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"
