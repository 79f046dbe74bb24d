"""How far each point of a character's em is inside or outside of it: from that, strokes of any weight are drawn.

Only operations that IEEE 754 rounds in one way everywhere are used, one at a time: so the same fonts give the same
pixels on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

CELLS = 40
"""Points of a field along each edge."""
_ROWS = 4
EMS = 1.4
"""Edge of the square that a field covers: the widest character (W of DejaVu Sans Bold) has 1.1."""
MIDDLE = 0.25
"""Of the square above the base line, in ems: half way between the lowest tail and the highest top."""


def distance_field(segments: NDArray[np.float64]) -> Floats:
    """Return signed distances, float32 [CELLS, CELLS] in ems, positive inside; rows go downwards as in an image.

    The square is centred on the middle of the character's width.

    Args:
        segments: [S, 4], from `outlines`.
    """
    across = segments[:, 0::2]
    middle = (across.min() + across.max()) / 2
    offset = (np.arange(CELLS) + 0.5) * (EMS / CELLS) - EMS / 2
    x = (middle + offset).astype(np.float32)
    y = (MIDDLE - offset).astype(np.float32)[:, None]
    x0, y0, x1, y1 = segments.astype(np.float32).T[:, :, None, None]
    dx, dy = x1 - x0, y1 - y0
    length = dx * dx + dy * dy
    field = np.empty((CELLS, CELLS), dtype=np.float32)
    for first in range(
        0, CELLS, _ROWS
    ):  # a few rows: arrays of [S, rows, CELLS] stay in the processor's cache
        rows = slice(first, first + _ROWS)
        px, py = x - x0, y[rows] - y0
        share = np.clip((px * dx + py * dy) / length, 0, 1)
        qx, qy = px - share * dx, py - share * dy
        away = np.sqrt((qx * qx + qy * qy).min(axis=0))
        field[rows] = np.where(_winding(py, dy, dx * py - dy * px) != 0, away, -away)
    return field


def _winding(py: Floats, dy: Floats, left: Floats) -> NDArray[np.int64]:
    """Return how often the contours run round each point of some rows, [rows, CELLS]."""
    upwards = (py >= 0) & (py < dy) & (left > 0)
    downwards = (py < 0) & (py >= dy) & (left < 0)
    counted: NDArray[np.int64] = upwards.sum(axis=0) - downwards.sum(axis=0)
    return counted
