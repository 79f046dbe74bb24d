"""The global random streams that a model may draw from, one set of them in each process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Put torch's, Python's and NumPy's global streams at a start that depends on `seed` alone.

    Ours draws from torch's only; other people's models may draw from any.
    """
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy state is what other people's models draw from


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the state of every global random stream that a model on `device` may draw from."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - the legacy state is what other people's models draw from
    }


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put the streams back to what `random_states` returned."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002


def stored_streams(states: Mapping[str, Any], rank: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of one process's streams as a checkpoint holds them: tensors, and the rest as JSON."""
    name = _name(rank)
    version, words, gauss = states["python"]
    kind, keys, *rest = states["numpy"]
    tensors = {f"{name}.{kind}": states[kind] for kind in ("torch", "cuda") if states[kind] is not None}
    values = {"python": [version, list(words), gauss], "numpy": [kind, keys.tolist(), *rest]}
    return tensors, {name: values}


def loaded_streams(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], rank: int
) -> dict[str, Any] | None:
    """Return what `stored_streams` was given for the process; None: it took no part in the run."""
    name = _name(rank)
    if rank and name not in values:
        return None
    version, words, gauss = values[name]["python"]
    kind, keys, *rest = values[name]["numpy"]
    return {
        "torch": tensors[f"{name}.torch"],
        "cuda": tensors.get(f"{name}.cuda"),
        "python": (version, tuple(words), gauss),
        "numpy": (kind, np.array(keys, dtype=np.uint32), *rest),
    }


def _name(rank: int) -> str:
    return f"random{rank or ''}"
