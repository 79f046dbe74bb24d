"""The forecast as the paper states it: slow, literal, and independent of the fast code it is held against.

L(t) = a * exp(b * t) + c, b < 0. Outliers go first: each round takes the losses farthest from a quadratic smoothing
spline and drops those of them in the first half. Then b by trying very many, and a and c by least squares.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.interpolate import UnivariateSpline


def spline(ts: list[float], ys: list[float]) -> UnivariateSpline:
    """Return SciPy's quadratic smoothing spline with its default allowance, as the published code uses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return UnivariateSpline(ts, ys, k=2)


def clean(ts: list[float], ys: list[float], kind: str) -> tuple[list[float], list[float]]:
    """Return the steps and losses that are left."""
    middle = ts[(len(ts) - 1) // 2]
    points = list(zip(ts, ys, strict=True))
    for _ in range(10 if kind == "train" else 1):
        curve = spline([t for t, _ in points], [y for _, y in points])
        by_distance = sorted(points, key=lambda point: abs(point[1] - float(curve(point[0]))))
        count = round(0.03 * len(points)) if kind == "train" else 1
        farthest = by_distance[len(by_distance) - count :]
        points = [point for point in points if not (point in farthest and point[0] < middle)]
    return [t for t, _ in points], [y for _, y in points]


def forecast(losses: list[float], horizon: float, every: int = 1, kind: str = "train") -> tuple[float, float]:
    """Return the loss at `horizon` and the fitted b."""
    ts = [float((i + 1) * every) for i in range(len(losses))]
    ys = spline(*clean(ts, losses, kind))(ts)
    best = (np.inf, 0.0, 0.0)
    for log_rate in np.linspace(np.log(1e-3 / horizon), np.log(8.0 / every), 8000):
        b = -np.exp(log_rate)
        design = np.stack([np.exp(b * np.array(ts)), np.ones(len(ts))], axis=1)
        a, c = np.linalg.lstsq(design, ys, rcond=None)[0]
        residual = float(np.sum((design @ np.array([a, c]) - ys) ** 2))
        if residual < best[0]:
            best = (residual, float(a * np.exp(b * horizon) + c), float(b))
    return best[1], best[2]
