"""The surrogate of a stage, a Gaussian process of the predicted loss on log-LR, and the next LR to try.

Importing this module imports BoTorch (seconds): `stage` does so at the first question that needs it.

Glossary, in the paper's letters [Jin2021]_:

| symbol | meaning | shape | unit |
| --- | --- | --- | --- |
| `x` | place of an LR on the log scale, 0 = lr_min, 1 = lr_max (`unit`) | (n,) | - |
| `y` | predicted losses | (n,) | loss |
| `mu(x)`, `sigma(x)` | posterior mean and standard deviation of the loss, noise left out | (m,) | loss |
| `kappa` | weight of `sigma` in the lower confidence bound `mu - kappa * sigma` | scalar | - |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from botorch.acquisition.analytic import UpperConfidenceBound
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior
from torch import Tensor

GRID = 257
"""Points per grid of the LCB search; each of the `ZOOMS` later grids spans the two cells beside the best."""
ZOOMS = 3
FIT = {"ftol": 1e-6, "maxiter": 60}
"""L-BFGS-B: SciPy's default `ftol` of 2e-9 takes longer, and moves the next LR by less than 0.01 % (ours)."""
MIN_GAP = 0.01
"""Keep-out around LRs already tried: this part of the interval, shared out over the trials (ours).

The trials of a stage see the same batches, so that asking at all but the same LR again would tell nothing."""


class LossSurrogate:
    """Gaussian process with a Matern-5/2 kernel, fitted afresh to the trials of one stage [Jin2021]_.

    The kernel's priors are BoTorch's long-standing ones for a unit interval and standardised outcomes (ours;
    the paper gives none). The noise prior is BoTorch's default.

    Args:
        x: shape (n,), n >= 1.
        y: shape (n,), finite.
    """

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self._loss_unit = max(1.0, *(abs(loss) for loss in y))  # squares of huge forecasts would overflow
        self.model = SingleTaskGP(
            train_X=_column(x),
            train_Y=_column(y) / self._loss_unit,
            covar_module=ScaleKernel(
                MaternKernel(nu=2.5, lengthscale_prior=GammaPrior(3.0, 6.0)),
                outputscale_prior=GammaPrior(2.0, 0.15),
            ),
            outcome_transform=Standardize(m=1),
        )
        try:
            with torch.enable_grad():  # the caller may be evaluating
                mll = ExactMarginalLogLikelihood(self.model.likelihood, self.model)
                fit_gpytorch_mll(mll, closure=loss_closure(mll), optimizer_kwargs={"options": FIT})
        except ModelFittingError:
            self.model.eval()  # the priors' own values, to which the fit went back: cautious, and never fatal

    def posterior(self, x: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return `mu` and `sigma` at `x` (m,)."""
        with torch.no_grad():
            posterior = self.model.posterior(_column(x))
        mu, sigma = posterior.mean[:, 0], posterior.variance[:, 0].sqrt()
        return (mu * self._loss_unit).tolist(), (sigma * self._loss_unit).tolist()

    def minimise_lcb(self, kappa: float, high: float, tried: Sequence[float], num_trials: int) -> float:
        """Return the `x` in [0, high] with the lowest `mu - kappa * sigma`, away from `tried`.

        Nested grids instead of BoTorch's gradient search from random starts: in one dimension they see the
        whole interval, need no random numbers, and cope with the scale that a huge `kappa` gives the bound.
        """
        acquisition = UpperConfidenceBound(self.model, beta=kappa**2, maximize=False)
        gap = MIN_GAP * high / num_trials
        bottom, top = 0.0, high
        for _ in range(1 + ZOOMS):
            grid = torch.linspace(bottom, top, GRID, dtype=torch.float64, device="cpu")
            with torch.no_grad():
                bound = -acquisition(grid[:, None, None])  # (GRID,), the lower confidence bound
            near = (grid[:, None] - _column(tried)[:, 0]).abs().min(dim=1).values < gap
            best = int(bound.masked_fill(near, torch.inf).argmin())
            bottom, top = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
        return float(grid[best])


def loss_closure(mll: ExactMarginalLogLikelihood) -> Callable[[], tuple[Tensor, Sequence[Tensor]]]:
    """Return what the fit minimises, the negative log posterior of the hyper-parameters per loss told.

    The same value and gradients as BoTorch's own closure (a test holds them equal) at a fraction of the time:
    for ten losses, GPyTorch's lazy kernels cost several times the arithmetic, and a search asks while it trains.
    """
    kernel, mean, noise = mll.model.covar_module, mll.model.mean_module, mll.likelihood.noise_covar
    x, y = mll.model.train_inputs[0], mll.model.train_targets  # (n, 1), (n,)
    distance, eye, n = math.sqrt(5) * (x - x.T).abs(), torch.eye(len(x)).to(x), len(x)
    parameters = [parameter for parameter in mll.parameters() if parameter.requires_grad]

    def closure() -> tuple[Tensor, Sequence[Tensor]]:
        d = distance / kernel.base_kernel.lengthscale
        covariance = kernel.outputscale * (1 + d + d**2 / 3) * torch.exp(-d) + noise.noise * eye
        root = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(root, (y - mean.constant)[:, None], upper=False)
        log_density = -root.diagonal().log().sum() - (white**2).sum() / 2 - n * math.log(2 * math.pi) / 2
        for _, module, prior, value, _ in mll.model.named_priors():
            log_density = log_density + prior.log_prob(value(module)).sum()
        loss = -log_density / n
        return loss, torch.autograd.grad(loss, parameters)

    return closure


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device="cpu")[:, None]
