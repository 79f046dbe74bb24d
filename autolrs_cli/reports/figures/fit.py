"""Room for every text of a figure, however long the names in it are: measured, wrapped, and the figure made larger.

Constrained layout keeps texts off the panels, but neither keeps a text from being wider than its panel or the figure,
nor makes the figure larger when names and legend leave its panels no room.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Annotation, Text

Measure = Callable[[str], float]
"""From a line to its width in inches."""
# A panel may lose this share of its size to labels and legend before the figure grows.
PANEL_SHARE = 0.72
# Wrapping makes texts higher, growing makes panels wider: it settles in two rounds, or a few.
ROUNDS = 6
LARGER = 1.4
MARGIN_INCHES = 0.08
# A long word is broken after one of these, if it has one.
BREAKS = re.compile(r"(?<=[=./_,;:+-])")


def measure(font: FontProperties | float) -> Measure:
    """Return what measures lines in that font, or in the default font of that size (points)."""
    return functools.partial(
        _inches, font if isinstance(font, FontProperties) else FontProperties(size=float(font))
    )


@functools.lru_cache(maxsize=4096)
def _inches(font: FontProperties, line: str) -> float:
    return float(_renderer().get_text_width_height_descent(line, font, ismath=False)[0]) / 72


@functools.cache
def _renderer() -> Any:  # which matplotlib does not type
    make: Any = RendererAgg
    return make(1, 1, 72)


def wrapped(text: str, inches: float, width: Measure) -> str:
    """Return `text` in lines of `inches` at most, broken between words; a word only where it is longer than that."""
    return "\n".join(line for part in text.split("\n") for line in _lines(part, inches, width))


def _lines(text: str, inches: float, width: Measure) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer) <= inches:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _pieces(word, inches, width)
        yield from whole
    yield line


def _pieces(word: str, inches: float, width: Measure) -> list[str]:
    """Cut a word into pieces that fit: after punctuation, or where it must be."""
    pieces = [""]
    for part in BREAKS.split(word):
        for bit in [part] if width(part) <= inches else part:
            if pieces[-1] and width(pieces[-1] + bit) > inches:
                pieces.append("")
            pieces[-1] += bit
    return pieces


def fit(made: Figure, panel_inches: tuple[float, float], panels: tuple[int, int]) -> None:
    """Wrap what is wider than its panel or the figure, and make the figure larger until its panels have room.

    Args:
        made: a figure with constrained layout; afterwards it is laid out for good.
        panel_inches: what a panel was meant to have, labels included.
        panels: columns and rows of them.
    """
    texts = [(text, around, text.get_text()) for text, around in _texts(made) if text.get_text()]
    _lay_out(made)
    for _ in range(ROUNDS):
        changed = [_wrap(made, *text) for text in texts]
        if any(changed):
            _lay_out(made)
        if _grow(made, panel_inches, panels):
            _lay_out(made)
        elif not any(changed):
            break
    made.set_layout_engine("none")  # it is laid out now; each drawing would do it again


def _lay_out(made: Figure) -> None:
    engine = made.get_layout_engine()
    assert engine is not None
    for _ in range(ROUNDS):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            engine.execute(made)
        if not any("not applied" in str(each.message) for each in said):
            return
        made.set_size_inches(
            *(LARGER * side for side in made.get_size_inches())
        )  # the texts alone are larger


def _texts(made: Figure) -> Iterator[tuple[Text, Figure | Axes]]:
    """Yield titles and labels of panels and figure; marks inside panels are short, and legends are fitted apart."""
    for axes in made.axes:
        for text in (axes.xaxis.label, axes.yaxis.label, *_plain_texts(axes.get_children())):
            yield text, axes
    for text in _plain_texts(made.get_children()):
        yield text, made


def _plain_texts(artists: Iterable[object]) -> list[Text]:
    return [each for each in artists if isinstance(each, Text) and not isinstance(each, Annotation)]


def _wrap(made: Figure, text: Text, around: Figure | Axes, said: str) -> bool:
    """Wrap a text to the side that it runs along; return whether it reads otherwise now."""
    box, upright = around.get_window_extent(), text.get_rotation() == 90
    room = (box.height if upright else box.width) / made.dpi - MARGIN_INCHES
    before = text.get_text()
    text.set_text(wrapped(said, room, measure(text.get_fontproperties())))
    return before != text.get_text()


def _grow(made: Figure, panel_inches: tuple[float, float], panels: tuple[int, int]) -> bool:
    """Give the panels back what labels and legend took beyond the usual; return whether that was anything."""
    grid = [(axes.get_subplotspec(), axes.get_window_extent()) for axes in made.axes]
    columns: dict[int, float] = {}
    rows: dict[int, float] = {}
    for place, box in grid:
        if place is not None:
            columns[place.colspan.start] = columns.get(place.colspan.start, 0.0) + box.height
            rows[place.rowspan.start] = rows.get(place.rowspan.start, 0.0) + box.width
    missing = [
        PANEL_SHARE * count * inches - max(found.values()) / made.dpi
        for count, inches, found in zip(panels, panel_inches, (rows, columns), strict=True)
    ]
    if max(missing) <= MARGIN_INCHES:
        return False
    made.set_size_inches(
        *(now + max(0.0, more) for now, more in zip(made.get_size_inches(), missing, strict=True))
    )
    return True


def row_labels(names: Sequence[str], inches: float, size: float) -> list[str]:
    """Return names that stand beside rows, in lines of `inches` at most."""
    return [wrapped(name, inches, measure(size)) for name in names]


def rows_inches(labels: Sequence[str], least: float, size: float) -> float:
    """Return the height that each row needs for the highest of the labels; `least` if one line fits in it."""
    lines = max(label.count("\n") + 1 for label in labels)
    return max(least, lines * size * 1.3 / 72 + 0.1)
