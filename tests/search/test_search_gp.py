import math
import warnings

import numpy as np
import pytest

X = [0.05, 0.2, 0.45, 0.5, 0.9]
Y = [2.0, 1.2, 0.7, 0.8, 3.0]


@pytest.fixture(scope="module")
def gp():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from autolrs_cli.search import gp

        yield gp


def literal_posterior(model, x, y, at):
    """The textbook posterior under the fitted hyper-parameters, on the scale of `y`."""
    length = model.covar_module.base_kernel.lengthscale.item()
    scale = model.covar_module.outputscale.item()
    noise, constant = model.likelihood.noise.item(), model.mean_module.constant.item()

    def kernel(p, q):
        d = math.sqrt(5) * np.abs(np.subtract.outer(p, q)) / length
        return scale * (1 + d + d**2 / 3) * np.exp(-d)

    centre, spread = np.mean(y), np.std(y, ddof=1)
    inverse = np.linalg.inv(kernel(x, x) + noise * np.eye(len(x)))
    across = kernel(at, x)
    mean = constant + across @ inverse @ ((np.array(y) - centre) / spread - constant)
    variance = scale - np.einsum("ij,jk,ik->i", across, inverse, across)
    return centre + spread * mean, spread * np.sqrt(variance)


def test_the_posterior_is_the_textbook_one(gp):
    surrogate = gp.LossSurrogate(X, Y)
    at = np.linspace(0, 1, 37)
    mean, std = surrogate.posterior(at.tolist())
    expected_mean, expected_std = literal_posterior(surrogate.model, X, np.array(Y) / 3.0, at)
    np.testing.assert_allclose(mean, 3.0 * expected_mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(std, 3.0 * expected_std, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 2.0, 20.0, 1e6])
@pytest.mark.parametrize("high", [1.0, 0.6])
def test_the_next_point_minimises_the_lower_confidence_bound(gp, kappa, high):
    surrogate = gp.LossSurrogate(X, Y)
    found = surrogate.minimise_lcb(kappa, high, X, 10)
    dense = np.linspace(0, high, 20001)
    dense = dense[np.abs(np.subtract.outer(dense, X)).min(axis=1) >= 0.001 * high]
    mean, std = literal_posterior(surrogate.model, X, np.array(Y) / 3.0, np.append(dense, found))
    bound = mean - kappa * std
    assert bound[-1] <= bound[:-1].min() + 1e-6 * np.ptp(bound)
    assert 0 <= found <= high


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_fast_fit_minimises_what_botorch_would(gp, count):
    import torch
    from botorch.optim.closures import get_loss_closure_with_grads

    model = gp.LossSurrogate(X[:count], Y[:count]).model
    mll = gp.ExactMarginalLogLikelihood(model.likelihood, model).train()
    parameters = {name: value for name, value in mll.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for shift, value in enumerate(parameters.values()):
            value += 0.1 * (shift + 1)
    loss, gradients = gp.loss_closure(mll)()
    expected_loss, expected_gradients = get_loss_closure_with_grads(mll, parameters)()
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-9)
    for found, expected in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_a_huge_kappa_fills_space(gp):
    surrogate = gp.LossSurrogate(X, Y)
    found = surrogate.minimise_lcb(1e6, 1.0, X, 10)
    _, std = surrogate.posterior([found, *np.linspace(0, 1, 2001)])
    assert std[0] >= max(std) * (1 - 1e-5)


def test_a_tried_point_is_kept_clear(gp):
    found = gp.LossSurrogate(X, Y).minimise_lcb(0.0, 1.0, [*X, 0.4], 10)
    again = gp.LossSurrogate(X, Y).minimise_lcb(0.0, 1.0, [*X, found], 10)
    assert abs(again - found) >= 0.001


@pytest.mark.parametrize("y", [[1.0], [2.0, 2.0], [1e300, -1e300, 0.0], [1e-300, 0.0], [1.0, 1e9, 1.1]])
def test_awkward_losses_do_not_break_it(gp, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate = gp.LossSurrogate(X[: len(y)], y)
    mean, std = surrogate.posterior([0.0, 0.5, 1.0])
    assert np.isfinite([*mean, *std]).all()
    assert 0 <= surrogate.minimise_lcb(2.0, 1.0, X[: len(y)], 10) <= 1


def test_a_fit_that_fails_leaves_the_prior(gp, monkeypatch):
    def fail(*args, **kwargs):
        raise gp.ModelFittingError

    monkeypatch.setattr(gp, "fit_gpytorch_mll", fail)
    mean, std = gp.LossSurrogate(X, Y).posterior([0.5])
    assert np.isfinite([*mean, *std]).all()
