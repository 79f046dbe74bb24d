"""Rules across the settings of a schedule, worded alike; each setting by itself is checked by its type."""

from __future__ import annotations


def length_problems(warmup_steps: int, max_steps: int, at: str) -> list[str]:
    """Return what is wrong with a warm-up in a run of `max_steps`, for the config node `at`."""
    if warmup_steps < max_steps:
        return []
    return [
        f"The warm-up must end before the run, but got {at}.warmup_steps={warmup_steps} of "
        f"run.max_steps={max_steps}. Shorten the warm-up or lengthen the run."
    ]


def floor_problems(key: str, floor: float, peak_lr: float, at: str) -> list[str]:
    """Return what is wrong with an LR that the schedule must not fall below or start from."""
    if floor <= peak_lr:
        return []
    return [
        f"`{key} <= peak_lr` must hold, but got {at}.{key}={floor}, {at}.peak_lr={peak_lr}. Set {at}.{key}."
    ]
