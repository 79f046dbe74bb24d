"""The LR range test on curves with known answers."""

from __future__ import annotations

import math

import pytest

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.range_test.lr_range import RangeTest, propose, run_range_test, running_median


def curve(*, falls: float, climbs: float | None, steps: int = 200) -> RangeTest:
    """A loss of 2 that falls to 1 over half a decade from LR `falls` on, and jumps to 3 at `climbs`."""
    lrs = [1e-4 * (1e5) ** (i / (steps - 1)) for i in range(steps)]

    def loss(lr: float) -> float:
        if climbs is not None and lr >= climbs:
            return 3.0
        return 2.0 - min(1.0, max(0.0, 2 * math.log10(lr / falls)))

    return RangeTest(tuple(lrs), tuple(map(loss, lrs)))


def test_the_interval_is_where_the_loss_falls_up_to_half_of_where_it_climbs() -> None:
    found = propose(curve(falls=1e-3, climbs=1.0))
    # A tenth of the fall is made a 20th of a decade after it begins; steps are 6 % apart.
    assert found.lr_min == pytest.approx(1e-3 * 10**0.05, rel=0.1)
    assert found.climbs_at == pytest.approx(1.0, rel=0.07)
    assert found.lr_max == pytest.approx(0.5, rel=0.07)
    assert found.notes == ()


def test_one_wild_step_moves_nothing() -> None:
    smooth = curve(falls=1e-3, climbs=1.0)
    losses = list(smooth.losses)
    losses[20], losses[120] = 0.1, 50.0
    found = propose(RangeTest(smooth.lrs, tuple(losses)))
    assert (found.lr_min, found.lr_max) == pytest.approx(
        (propose(smooth).lr_min, propose(smooth).lr_max), rel=0.1
    )


def test_an_interval_of_less_than_a_decade_is_widened_downwards() -> None:
    found = propose(curve(falls=0.1, climbs=0.6))
    assert found.lr_max / found.lr_min == pytest.approx(10, rel=0.05)
    assert "begins to fall" in found.notes[0]


def test_a_loss_that_never_climbs_is_said() -> None:
    found = propose(curve(falls=1e-3, climbs=None))
    assert found.climbs_at is None
    assert found.lr_max == 10.0
    assert "Raise --lr-max" in found.notes[0]


@pytest.mark.parametrize(
    ("losses", "way_out"),
    [
        ([2.0] * 50, "Raise --lr-max"),
        ([2.0] * 25 + [5.0] * 25, "Lower --lr-min"),
        ([math.nan], "Lower --lr-min"),
        ([2.0, 2.1, math.inf], "Lower --lr-min"),
    ],
)
def test_no_interval_without_a_fall(losses: list[float], way_out: str) -> None:
    lrs = tuple(1e-3 * 1.1**i for i in range(len(losses)))
    with pytest.raises(ConfigError, match=way_out):
        propose(RangeTest(lrs, tuple(losses)))


def test_the_lr_grows_by_a_constant_factor_and_stops_when_the_loss_is_lost() -> None:
    asked: list[float] = []

    def step(index: int, lr: float) -> float:
        asked.append(lr)
        return math.nan if index == 7 else 1.0

    test = run_range_test(step, 1e-3, 1e-1, 21)
    assert len(test.lrs) == len(test.losses) == 8
    assert asked == pytest.approx([1e-3 * 10 ** (i / 10) for i in range(8)])
    assert run_range_test(lambda *_: 1.0, 1e-3, 1e-1, 21).lrs[-1] == pytest.approx(1e-1)


def test_running_median() -> None:
    assert running_median([1.0, 9.0, 2.0, 3.0]) == [1.0, 2.0, 3.0, 3.0]
