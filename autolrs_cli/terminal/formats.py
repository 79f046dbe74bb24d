"""Numbers and kinds of losses as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

KILO = 1024.0
LOSS_NAMES = {"train": "training loss", "choose": "held-out loss"}


def number(value: float | None, digits: int = 4) -> str:
    """Return a loss or metric, or a dash where it was not finite."""
    return "-" if value is None else f"{value:.{digits}g}"


def lr(value: float | None, digits: int = 2) -> str:
    """Return an LR in scientific notation (3.20e-3), so that the eye can compare magnitudes."""
    if value is None:
        return "-"
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def duration(seconds: float | None) -> str:
    """Return h:mm:ss or m:ss, with days where there are any."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """Return bytes as MB or GB (powers of 1024)."""
    if count < KILO**3:
        return f"{count / KILO**2:.0f} MB"
    return f"{count / KILO**3:.1f} GB"


def share(used: float, total: float) -> str:
    """Return how much of how much, in GB."""
    return f"{used / KILO**3:.1f}/{total / KILO**3:.1f} GB"


def rate(value: float) -> str:
    """Return a rate with three digits or all of its whole ones."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def metrics(values: Mapping[str, float | None]) -> str:
    """Return `name value` pairs."""
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


def flags(values: Sequence[str]) -> str:
    """Return flags as words."""
    return ", ".join(value.replace("_", " ") for value in values)
