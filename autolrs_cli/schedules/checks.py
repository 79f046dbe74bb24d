"""Checks of a schedule's settings, worded alike."""

from __future__ import annotations

import math


def peak_problems(peak_lr: float, warmup_steps: int, at: str) -> list[str]:
    """Return what is wrong with a peak LR and a warm-up length, for the config node `at`."""
    problems = []
    if not (math.isfinite(peak_lr) and peak_lr > 0):
        problems.append(
            f"`peak_lr` must be positive and finite, but got {at}.peak_lr={peak_lr}. Set {at}.peak_lr."
        )
    if warmup_steps < 0:
        problems.append(f"`warmup_steps` must be 0 or more, but got {warmup_steps}. Set {at}.warmup_steps.")
    return problems


def length_problems(warmup_steps: int, max_steps: int, at: str) -> list[str]:
    """Return what is wrong with a warm-up in a run of `max_steps`."""
    if warmup_steps < max_steps:
        return []
    return [
        f"The warm-up must end before the run, but got {at}.warmup_steps={warmup_steps} of "
        f"run.max_steps={max_steps}. Shorten the warm-up or lengthen the run."
    ]


def floor_problems(key: str, floor: float, peak_lr: float, at: str) -> list[str]:
    """Return what is wrong with an LR that the schedule must not fall below or start from."""
    if 0 <= floor <= peak_lr:
        return []
    return [
        f"`0 <= {key} <= peak_lr` must hold, but got {at}.{key}={floor}, {at}.peak_lr={peak_lr}. Set {at}.{key}."
    ]


def least(key: str, value: float, bound: float, at: str, *, exclusive: bool = False) -> list[str]:
    """Return a problem unless `value` is at least `bound` (above it, if `exclusive`)."""
    if math.isfinite(value) and (value > bound or (value == bound and not exclusive)):
        return []
    words = "above" if exclusive else "at least"
    return [f"`{key}` must be {words} {bound:g}, but got {at}.{key}={value}. Set {at}.{key}."]


def share(key: str, value: float, at: str) -> list[str]:
    """Return a problem unless `value` is in (0, 1]."""
    if 0 < value <= 1:
        return []
    return [f"`{key}` must be a share in (0, 1], but got {at}.{key}={value}. Set {at}.{key}."]
