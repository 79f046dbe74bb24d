"""The part of a CUDA device that a run may use, where a launcher puts several on one."""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "AUTOLRS_GPU_SHARE"


def sharing(gpus: float) -> dict[str, str]:
    """Return what tells a run that it has `gpus` devices: nothing, unless that is less than one."""
    return {VARIABLE: f"{gpus:g}"} if 0 < gpus < 1 else {}


def bound_memory(env: Mapping[str, str] = os.environ) -> None:
    """Let torch take no more than this run's part of the device's memory, so that no other run is without.

    What does not fit then ends this run alone, as one that is out of memory.
    """
    import torch

    share = float(env.get(VARIABLE, "1"))
    if share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)
