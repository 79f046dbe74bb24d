"""The surrogate of a whole run: how good an LR is against the one in force, over log-LR and log-step.

Importing this module imports BoTorch (seconds).

It is a bowl in log-LR whose lowest point drifts with the steps, in the letters:

| symbol | meaning | unit |
| --- | --- | --- |
| `x` | LR, as log2(LR / the level guessed from the ramp) | octaves |
| `v` | kept steps, as log2(steps / the horizon) | octaves |
| `y` | score less the score of the LR in force, divided by what the latter gained in its trial | - |
| `a` | how steep the bowl is | 1 / octave^2 |
| `c(v) = c - b v` | its lowest point | octaves |

    y(x, v) = a ((x - c(v))^2 - (x0 - c(v))^2) = a (x^2 - x0^2) + g (x - x0) + d v (x - x0),  g = -2 a c, d = 2 a b

is linear in (a, g, d). With Gaussian beliefs about these, and a slope of its own for each check (a check may be off as
a whole), it is a Gaussian process with a linear kernel on those features; BoTorch conditions it on the trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.exceptions.warnings import InputDataWarning
from botorch.models import SingleTaskGP
from gpytorch.kernels import LinearKernel
from gpytorch.means import ZeroMean
from gpytorch.utils.warnings import NumericalWarning
from torch import Tensor


@dataclass(frozen=True)
class Belief:
    """What is believed of a bowl before any trial, each as mean and standard deviation."""

    steepness: tuple[float, float]
    """`a`: 1 / octave^2."""
    centre_std: float
    """`c`: octaves around the guess."""
    drift: tuple[float, float]
    """`b`: octaves down per octave of steps."""
    check_std: float
    """How far the lowest point that one check sees may be off, beyond the noise of its scores: octaves."""


@dataclass(frozen=True)
class Observation:
    """One trial."""

    x: float
    x0: float
    """The LR in force at its check."""
    v: float
    check: int
    y: float
    variance: float


class Bowl:
    """The belief, conditioned on trials.

    Args:
        belief: before any of them.
        seen: n trials; may be none.
        checks: how many checks there were so far.
    """

    def __init__(self, belief: Belief, seen: Sequence[Observation], checks: int) -> None:
        self._checks = checks
        a, b = belief.steepness[0], belief.drift[0]
        self._mean = torch.tensor([a, 0.0, 2 * a * b, *[0.0] * checks], dtype=torch.float64)
        slope = 2 * a
        std = [belief.steepness[1], slope * belief.centre_std, slope * belief.drift[1]]
        self._std = torch.tensor([*std, *[slope * belief.check_std] * checks], dtype=torch.float64)
        # The LR in force has y = 0 by definition: a row that says nothing, for a model that needs one.
        rows = [*seen, Observation(0.0, 0.0, 0.0, 0, 0.0, 1.0)]
        features = torch.cat([self._features([each.x], each.x0, each.v, each.check) for each in rows])
        told = torch.tensor([each.y for each in rows], dtype=torch.float64)
        noise = torch.tensor([max(each.variance, 1e-6) for each in rows], dtype=torch.float64)
        kernel = LinearKernel()
        kernel.variance = 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputDataWarning)  # nothing is standardised: `y` has its unit
            self._model = SingleTaskGP(
                train_X=features * self._std,
                train_Y=(told - features @ self._mean)[:, None],
                train_Yvar=noise[:, None],
                covar_module=kernel,
                mean_module=ZeroMean(),
                outcome_transform=None,
            ).eval()

    def at(
        self, xs: Sequence[float], x0: float, v: float, check: int | None
    ) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of `y` at `xs` (m,), against `x0`, as a check sees it; None: as it is."""
        features = self._features(xs, x0, v, check)
        mean, variance = self._posterior(features)
        return mean.tolist(), variance.clamp_min(0).sqrt().tolist()

    def _posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance at `features` (m, 3 + checks)."""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", NumericalWarning
            )  # of the LR in force there is no doubt: 0 by definition
            found = self._model.posterior(features * self._std)
            return found.mean[:, 0] + features @ self._mean, found.variance[:, 0]

    def _features(self, xs: Sequence[float], x0: float, v: float, check: int | None) -> Tensor:
        x = torch.tensor(xs, dtype=torch.float64)
        own = torch.zeros(len(xs), self._checks, dtype=torch.float64)
        if check is not None:
            own[:, check] = x - x0
        return torch.cat([torch.stack([x**2 - x0**2, x - x0, v * (x - x0)], dim=1), own], dim=1)
