"""From the losses of a trial to the loss expected at the end of the stage: the exponential model.

Glossary, in the paper's letters [Jin2021]_:

| symbol | meaning | shape | unit |
| --- | --- | --- | --- |
| `tau` | steps of the stage: where the loss is wanted (`horizon`) | scalar | steps |
| `tau'` | steps of a trial: where the losses come from; `tau' << tau` | scalar | steps |
| `y` | losses of the trial | (n,) | loss |
| `t` | steps at which they were taken, from the trial's start, in (0, tau'] | (n,) | steps |
| `a, b, c` | `L(t) = a * exp(b * t) + c`, `b < 0` | scalars | loss, 1/steps, loss |
| `r` | rate, `-b` | scalar or (m,) | 1/steps |
| `s` | `t - t[0]` | (n,) | steps |
| `phi` | `(1 - exp(-r * s)) / r` | (n,) or (m, n) | steps |

`b` is found by one-dimensional search, the rest by linear least squares, as published. The linear part is
`L = level + slope * phi`, the same family with `a = -slope / r * exp(r * t[0])` and `c = level + slope / r`:
when `r` goes to 0, `a` and `c` go to infinity, while `phi` goes to `s`, and the model to a straight line.

As published, the forecast has no lower bound: it can be negative, and a curve that does not determine the
rate is carried on as a straight line. That is kept here, and flagged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize_scalar

from autolrs_cli.errors import NonFiniteError
from autolrs_cli.search.ask_tell import Forecast
from autolrs_cli.search.outliers import Array, clean
from autolrs_cli.search.settings import TRAIN_CLEAN_UP, CleanUp

# All ours: the paper does not say how its search for b is bounded, and the flags are not in it.
MIN_POINTS = 4
"""One more than the numbers in the model."""
SLOWEST = 1e-3
"""Lowest `r * tau` that is tried: a straight line to 1 part in 2000 over the whole stage."""
FASTEST = 8.0
"""Highest `r * spacing` that is tried: from one loss to the next the decay is over."""
STRAIGHT = 0.1
"""Below this `r * tau` the forecast is a straight line to 5 %: the losses did not fix the rate."""
CHANCE = 3.0
"""F statistic (2 and n - 3 degrees of freedom) below which a curve is flat; 5 % of pure noise lies above."""
RATES = 257
"""Rates on the coarse grid; the residual has several minima, so that a local search alone would not do."""


def forecast(
    losses: Sequence[float], horizon: float, *, every: int = 1, clean_up: CleanUp = TRAIN_CLEAN_UP
) -> Forecast:
    """Return the loss expected at step `horizon`, counted from the trial's start, [Jin2021]_.

    Args:
        losses: shape (n,); `losses[i]` was measured at step `(i + 1) * every`.
        horizon: in steps.
        every: steps from one loss to the next.
        clean_up: settings for training losses (the default) or validation losses.

    Returns:
        A finite mean and its flags. `negative`: below zero. `undetermined`: the rate goes to 0
        (`r * tau < 0.1`), or the curve is flat (constant, or explained by the model no better than noise
        would be). `few_points`: fewer than 4, or than the spline needs; the mean is the last loss. `overflow`:
        the model left the floating-point range; the mean is the last loss.

    Raises:
        ValueError: no losses, or `horizon` or `every` is not positive.
        NonFiniteError: a loss is NaN or infinite.
    """
    if every < 1:
        raise ValueError(f"`every >= 1` must hold, but got every={every}. Pass the steps between two losses.")
    return forecast_at(range(every, every * len(losses) + 1, every), losses, horizon, clean_up)


def forecast_at(steps: Sequence[int], losses: Sequence[float], horizon: float, clean_up: CleanUp) -> Forecast:
    """Return the loss expected at step `horizon` from losses at any `steps`; see `forecast`.

    Args:
        steps: shape (n,), ascending, counted from the trial's start.
        losses: shape (n,).
        horizon: in steps.
        clean_up: settings for this kind of loss.
    """
    _check(steps, losses, horizon)
    last = float(losses[-1])
    if len(losses) < max(MIN_POINTS, clean_up.spline_degree + 2):
        return _flagged(last, "few_points")
    if min(losses) == max(losses):
        return _flagged(last, "undetermined")
    t, y = np.asarray(steps, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    unit = max(1.0, float(np.abs(y).max()))  # the square of a loss above 1e154 would overflow
    mean, determined = _extrapolate(t, y / unit, horizon, clean_up, unit)
    if not math.isfinite(mean * unit):
        return _flagged(last, "overflow")
    return _flagged(mean * unit, *(() if determined else ("undetermined",)))


def _check(steps: Sequence[int], losses: Sequence[float], horizon: float) -> None:
    if not losses:
        raise ValueError("`len(losses) >= 1` must hold, but got none. Forecast after at least one loss.")
    if len(steps) != len(losses):
        raise ValueError(
            f"`len(steps) == len(losses)` must hold, but got {len(steps)} and {len(losses)}. "
            "Pass one step per loss."
        )
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError(
            "`steps` must ascend, but a step repeats or goes back. Pass one loss per step, in order."
        )
    if not (math.isfinite(horizon) and horizon > 0):
        raise ValueError(f"`horizon > 0` (finite) must hold, but got {horizon}. Pass the steps of the stage.")
    wrong = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
    if wrong:
        raise NonFiniteError(
            f"`losses` must be finite, but got {losses[wrong[0]]} at step {steps[wrong[0]]}. "
            "Tell a diverged trial as a Failure."
        )


def _flagged(mean: float, *flags: str) -> Forecast:
    return Forecast(mean, flags=(*(("negative",) if mean < 0 else ()), *flags))


def _extrapolate(t: Array, y: Array, tau: float, clean_up: CleanUp, unit: float) -> tuple[float, bool]:
    """Return the forecast at `tau` in units of `unit`, and whether the losses determine it."""
    kept, smooth = clean(t, y, clean_up, unit)
    s = t - t[0]
    r = _fit_rate(s, smooth, tau)
    level, slope = _fit_line(_phi(r, s), smooth)
    fitted = level + slope * _phi(r, s)
    determined = r * tau >= STRAIGHT and not _is_flat(y[kept], fitted[kept])
    return level + slope * float(_phi(r, np.asarray(tau - t[0]))), determined


def _fit_rate(s: Array, y: Array, tau: float) -> float:
    """Return the rate with the smallest squared residual: a coarse grid, then Brent's method."""
    spacing = float(np.diff(s).min())
    logs = np.linspace(math.log(SLOWEST / tau), math.log(FASTEST / spacing), RATES)
    residuals = _residual(np.exp(logs), s, y)
    best = int(np.argmin(residuals))
    bounds = (logs[max(best - 1, 0)], logs[min(best + 1, RATES - 1)])

    def objective(log_r: float) -> float:
        return float(_residual(np.exp([log_r]), s, y)[0])

    refined = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return math.exp(refined.x if refined.fun < residuals[best] else logs[best])


def mean_of_last(values: Sequence[float], share: float) -> Forecast:
    """Return the mean of the last `share` of the losses (at least one): what is left without a forecast."""
    count = max(1, round(share * len(values)))
    last = [float(value) for value in values[-count:]]
    if not all(map(math.isfinite, last)):
        raise NonFiniteError(
            f"`losses` must be finite, but the last {count} are {last}. Tell a Failure instead."
        )
    return Forecast(math.fsum(last) / count)


def _phi(r: float | Array, s: Array) -> Array:
    """Return `(1 - exp(-r * s)) / r`, exact also for small `r * s`."""
    return np.asarray(-np.expm1(-r * s) / r)


def _fit_line(phi: Array, y: Array) -> tuple[float, float]:
    """Return level and slope of the least-squares line of `y` (n,) over `phi` (n,)."""
    centred = phi - phi.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    return float(y.mean()) - slope * float(phi.mean()), slope


def _residual(r: Array, s: Array, y: Array) -> Array:
    """Return the squared residual (m,) of the best exponential at each rate `r` (m,).

    The residuals are formed, not the difference of two sums of squares: that would cancel on clean curves.
    Sums by einsum, whose order, unlike a BLAS's, does not depend on the number of threads.
    """
    phi = _phi(r[:, None], s)
    centred = phi - phi.mean(axis=1, keepdims=True)
    y = y - y.mean()
    slope = np.einsum("mn,n->m", centred, y) / np.einsum("mn,mn->m", centred, centred)
    left = y - slope[:, None] * centred
    return np.asarray(np.einsum("mn,mn->m", left, left))


def _is_flat(y: Array, fitted: Array) -> bool:
    """Say whether the model explains the losses no better than it would explain noise around their mean."""
    noise = float(np.sum((y - fitted) ** 2))
    explained = float(np.sum((y - y.mean()) ** 2)) - noise
    return explained * (len(y) - 3) < 2 * CHANCE * noise
