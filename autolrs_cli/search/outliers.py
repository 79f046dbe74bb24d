"""Take noise and outliers out of a loss series [Jin2021]_; letters as in `forecasting`."""

from __future__ import annotations

import warnings
from typing import Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from scipy.interpolate import UnivariateSpline

from autolrs_cli.search.settings import CleanUp

Array: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.intp]


def clean(t: Array, y: Array, clean_up: CleanUp, unit: float = 1.0) -> tuple[Indices, Array]:
    """Drop early outliers, then smooth.

    Each round takes the `share` of the remaining losses that lie farthest from the spline, and drops those
    of them in the early part of the series. Where `share` of them rounds to none (3 %: fewer than
    17), none is taken; the published code then takes *all*, and so drops the whole first half: mended.

    Args:
        t: shape (n,), ascending, in steps; n > spline degree + 1.
        y: shape (n,), in `unit` of loss.
        clean_up: numbers for this kind of loss.
        unit: the loss that `y` counts as 1; the spline's allowance is in loss units.

    Returns:
        The indices of the losses that remain, and the spline through them at every `t`, shape (n,).
    """
    early = t < t[int((len(t) - 1) * clean_up.droppable)]
    kept = np.arange(len(t))
    for _ in range(clean_up.rounds):
        distance = np.abs(y[kept] - smooth(t[kept], y[kept], clean_up, unit)(t[kept]))
        farthest = kept[np.argsort(distance, kind="stable")[len(kept) - _num_taken(len(kept), clean_up) :]]
        dropped = farthest[early[farthest]]
        if not len(dropped):
            break  # the next rounds would see the same series
        kept = np.setdiff1d(kept, dropped)
    return kept, smooth(t[kept], y[kept], clean_up, unit)(t)


def smooth(t: Array, y: Array, clean_up: CleanUp, unit: float) -> UnivariateSpline:
    """Return the smoothing spline of `y` (n,) over `t` (n,); n > spline degree."""
    allowance = clean_up.smoothing / unit / unit * len(t)
    degree = cast(Literal[1, 2, 3, 4, 5], clean_up.spline_degree)
    with warnings.catch_warnings():
        # FITPACK warns when it stops short of the asked allowance; its last spline is a good one.
        warnings.simplefilter("ignore")
        return UnivariateSpline(t, y, k=degree, s=allowance)


def _num_taken(num_kept: int, clean_up: CleanUp) -> int:
    """Return how many losses a round takes: at most as many as leave the spline enough to stand on."""
    asked = max(clean_up.min_points, round(clean_up.share * num_kept))
    return min(asked, num_kept - clean_up.spline_degree - 1)
