"""Seeds for reporting, tuning and calibrating never meet: this is the one home of their ranges."""

from __future__ import annotations

from typing import Literal

Purpose = Literal["reporting", "tuning", "calibration", "hindsight"]
TUNING_FIRST = 1000
CALIBRATION_FIRST = 2000
HINDSIGHT_FIRST = 3000


def purpose(seed: int) -> Purpose:
    """Return what `seed` (0 or more) is for: below 1000 reporting, then tuning, from 2000 and 3000 on the others."""
    if seed < TUNING_FIRST:
        return "reporting"
    if seed < CALIBRATION_FIRST:
        return "tuning"
    return "calibration" if seed < HINDSIGHT_FIRST else "hindsight"
