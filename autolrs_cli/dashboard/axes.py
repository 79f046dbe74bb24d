"""The axes of a chart, and the round values on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Of round values on a log axis, the finest first.
MANTISSAS = ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))


@dataclass(frozen=True)
class Axis:
    """The range of an axis, and whether equal ratios take equal room."""

    low: float
    high: float
    log: bool = False
    label: str = ""
    """What the axis counts; written where there is room."""
    powers: bool = False
    """Whether its labels read 3e-4 throughout."""

    def holds(self, value: float) -> bool:
        """Say whether `value` lies on the axis."""
        return self.low <= value <= self.high

    def place(self, value: float) -> float:
        """Return where `value` lies, in units in which equal distances take equal room."""
        return math.log10(value) if self.log else value

    def clip(self, value: float) -> float:
        """Return the nearest value on the axis."""
        return min(max(value, self.low), self.high)


def axis_over(values: Sequence[float], *, log: bool, powers: bool = False) -> Axis:
    """Return an axis that holds `values` (finite, at least one) with a little air around them."""
    low, high = min(values), max(values)
    if log and low > 0:
        air = max((high / low) ** 0.05, 1.05)
        return Axis(low / air, high * air, log=True, powers=powers)
    air = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return Axis(low - air, high + air)


def ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    """Return at most about `most` round values on the axis with their labels."""
    if not (axis.log and axis.low > 0):
        return _linear_ticks(axis, most)
    several = [each for each in (_log_ticks(axis, m) for m in MANTISSAS) if len(each) > 1]
    if not several:
        return [(value, scientific(value, 1)) for value in (axis.low, axis.high)]
    # The finest that fit, else every n-th of the coarsest.
    found = next((each for each in several if len(each) <= most), several[-1])
    return [(value, _power(value, axis)) for value in found[:: math.ceil(len(found) / most)]]


def _log_ticks(axis: Axis, mantissas: Sequence[int]) -> list[float]:
    decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    return [m * 10.0**d for d in decades for m in mantissas if axis.holds(m * 10.0**d)]


def _linear_ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    span = axis.high - axis.low
    power = math.floor(math.log10(span / most)) if span > 0 else 0
    every = next(
        step for step in (f * 10.0 ** (power + p) for p in (0, 1) for f in (1, 2, 5)) if span / step <= most
    )
    first = math.ceil(axis.low / every - 1e-9)
    values = [i * every for i in range(first, math.floor(axis.high / every + 1e-9) + 1)]
    decimals = max(0, -math.floor(math.log10(every) + 1e-9))
    return [(value, _plain(value, decimals)) for value in values]


def _power(value: float, axis: Axis) -> str:
    small = not axis.powers and axis.low >= 1e-3 and axis.high < 1e4
    return f"{value:g}" if small else scientific(value)


def _plain(value: float, decimals: int) -> str:
    if decimals > 4 or abs(value) >= 1e7:
        return f"{value:.3g}"
    return f"{value:,.{decimals}f}"


def scientific(value: float, digits: int = 0) -> str:
    """Return 3e-4: the shortest form that lets the eye compare magnitudes."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
