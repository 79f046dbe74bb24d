import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autolrs_cli.errors import NonFiniteError
from autolrs_cli.search import CHOOSE_CLEAN_UP, TRAIN_CLEAN_UP, forecast
from autolrs_cli.search.outliers import clean

STEPS = np.arange(1, 101)


def curve(seed, count=100, every=1):
    """A noisy exponential with a few spikes, as a trial's losses look."""
    rng = np.random.default_rng(seed)
    t = every * np.arange(1, count + 1)
    rate = math.exp(rng.uniform(math.log(1e-3), math.log(0.1)))
    y = (
        rng.uniform(0.2, 5) * np.exp(-rate * t)
        + rng.uniform(0.1, 3)
        + rng.normal(0, rng.uniform(0, 0.2), count)
    )
    y[rng.integers(count, size=3)] += rng.uniform(0, 10)
    return y.tolist()


@pytest.mark.parametrize("seed", range(12))
def test_training_loss_agrees_with_the_oracle(oracle, seed):
    expected, b = oracle.forecast(losses := curve(seed, count=[20, 50, 100][seed % 3]), 1000)
    assert forecast(losses, 1000).mean == pytest.approx(
        expected, rel=5e-3, abs=5e-3 * abs(expected - losses[-1])
    )
    assert ("undetermined" in forecast(losses, 1000).flags) or -b * 1000 >= 0.1


@pytest.mark.parametrize("seed", range(100, 106))
def test_validation_loss_agrees_with_the_oracle(oracle, seed):
    losses = curve(seed, count=16, every=6)
    expected, _ = oracle.forecast(losses, 1000, every=6, kind="choose")
    found = forecast(losses, 1000, every=6, clean_up=CHOOSE_CLEAN_UP).mean
    assert found == pytest.approx(expected, rel=5e-3, abs=5e-3 * abs(expected - losses[-1]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("kind", "clean_up"), [("train", TRAIN_CLEAN_UP), ("choose", CHOOSE_CLEAN_UP)])
def test_clean_up_drops_what_the_oracle_drops(oracle, seed, kind, clean_up):
    losses = curve(seed)
    kept, _ = clean(STEPS.astype(float), np.array(losses), clean_up)
    assert STEPS[kept].tolist() == oracle.clean(STEPS.tolist(), losses, kind)[0]


@pytest.mark.parametrize("rate", [0.003, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("every", [1, 7])
def test_an_exact_exponential_is_recovered(rate, every):
    losses = (1.5 * np.exp(-rate * STEPS) + 0.3).tolist()
    through_every_loss = TRAIN_CLEAN_UP.model_copy(update={"rounds": 0, "smoothing": 0.0})
    result = forecast(losses, 1000 * every, every=every, clean_up=through_every_loss)
    assert result.mean == pytest.approx(1.5 * math.exp(-rate * 1000) + 0.3, abs=1e-6)
    assert result.flags == ()


def test_the_published_smoothing_bends_a_steep_exponential():
    # Its allowance is the same for every scale of loss, so that ordinary losses become one parabola.
    found = forecast((1.5 * np.exp(-0.02 * STEPS) + 0.3).tolist(), 1000).mean
    assert found == pytest.approx(0.3, abs=0.15)
    assert abs(found - 0.3) > 0.05


def test_fewer_than_17_losses_keep_their_first_half():
    losses = curve(3, count=16)
    kept, _ = clean(np.arange(1.0, 17.0), np.array(losses), TRAIN_CLEAN_UP)
    assert len(kept) == 16


def test_the_clean_up_leaves_enough_for_the_spline():
    greedy = TRAIN_CLEAN_UP.model_copy(update={"rounds": 50, "share": 0.9, "droppable": 1.0})
    kept, smooth = clean(STEPS.astype(float), np.array(curve(1)), greedy)
    assert len(kept) >= 3
    assert np.isfinite(smooth).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_points_fall_back_to_the_last(count):
    result = forecast([3.0, 2.0, 1.5][:count], 1000)
    assert (result.mean, result.flags) == ([3.0, 2.0, 1.5][count - 1], ("few_points",))


def test_a_higher_spline_needs_more_points():
    quintic = TRAIN_CLEAN_UP.model_copy(update={"spline_degree": 5})
    assert forecast([3.0, 2.0, 1.5, 1.2, 1.1, 1.0], 1000, clean_up=quintic).flags == ("few_points",)
    assert "few_points" not in forecast([3.0, 2.0, 1.5, 1.2, 1.1, 1.0, 0.95], 1000, clean_up=quintic).flags


@pytest.mark.parametrize("value", [0.0, 0.3, 1e300, -2.0])
def test_a_constant_stays_and_is_undetermined(value):
    result = forecast([value] * 50, 1000)
    assert result.mean == value
    assert "undetermined" in result.flags


@pytest.mark.parametrize("seed", range(5))
def test_flat_noise_is_undetermined(seed):
    noise = np.random.default_rng(seed).normal(1, 0.1, 100).tolist()
    assert "undetermined" in forecast(noise, 1000).flags


def test_a_straight_line_goes_on_below_zero_and_is_flagged():
    result = forecast((2 - 0.01 * STEPS).tolist(), 1000)
    assert result.mean == pytest.approx(-8, abs=0.1)
    assert result.flags == ("negative", "undetermined")


def test_jump_and_recover_wins_with_a_negative_loss_and_is_flagged():
    jump = np.where(STEPS < 15, 2.3, 9 - 6.7 * (STEPS - 15) / 85)
    jump[:15] = np.linspace(2.3, 9, 15)
    result = forecast((jump + np.random.default_rng(0).normal(0, 0.05, 100)).tolist(), 1000)
    assert result.mean < 0
    assert "negative" in result.flags


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_loss_is_refused(bad):
    with pytest.raises(NonFiniteError, match=r"`losses` must be finite.*step 14.*Failure"):
        forecast([1.0, bad, 1.0, 1.0, 1.0], 1000, every=7)


def test_wrong_arguments_are_refused():
    for losses, horizon, every in ([], 10, 1), ([1.0], 0, 1), ([1.0], math.nan, 1), ([1.0], 10, 0):
        with pytest.raises(ValueError, match="must hold, but got"):
            forecast(losses, horizon, every=every)


def test_a_forecast_out_of_range_falls_back_to_the_last_loss():
    losses = (1e308 * (0.5 + 0.01 * STEPS)).tolist()
    result = forecast(losses, 1000)
    assert (result.mean, result.flags) == (losses[-1], ("overflow",))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(losses=st.lists(finite | st.floats(0, 10), min_size=1, max_size=60), every=st.integers(1, 50))
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_finite_losses_give_a_finite_forecast_and_no_warning(losses, every):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for clean_up in (TRAIN_CLEAN_UP, CHOOSE_CLEAN_UP):
            result = forecast(losses, 1000, every=every, clean_up=clean_up)
            assert math.isfinite(result.mean)
            assert ("negative" in result.flags) == (result.mean < 0)
            assert result == forecast(losses, 1000, every=every, clean_up=clean_up)
