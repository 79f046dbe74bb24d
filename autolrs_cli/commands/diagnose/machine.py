"""Checks of the machine: Python, torch, processors, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from autolrs_cli.commands.diagnose.finding import Finding
from autolrs_cli.homes import HOMELESS

GIB = 1 << 30
OLDEST_PYTHON = (3, 11)
# A demonstration of ResNet-50 holds its training state twice, and torch itself takes a gigabyte.
LITTLE_MEMORY_BYTES = 3 * GIB
# Two resume points of ResNet-50 and its final weights are 0.5 GB; those of BERT base 4 GB.
LITTLE_DISK_BYTES = 5 * GIB


def python() -> Iterator[Finding]:
    """Which Python this is."""
    said = f"{platform.python_version()} at {sys.executable}"
    new_enough = sys.version_info[:2] >= OLDEST_PYTHON
    remedy = None if new_enough else "Install Python 3.11 or later."
    yield Finding("python", "ok" if new_enough else "problem", said, remedy)


def torch() -> Iterator[Finding]:
    """Which torch this is, and what it can compute on."""
    import torch as library

    built = library.version.cuda
    yield Finding(
        "torch", "ok", f"{library.__version__}, built {f'for CUDA {built}' if built else 'without CUDA'}"
    )
    if library.cuda.is_available():
        for number in range(library.cuda.device_count()):
            found = library.cuda.get_device_properties(number)
            bf16 = "bf16" if library.cuda.is_bf16_supported() else "no bf16"
            yield Finding(
                "device", "ok", f"cuda:{number} {found.name}, {found.total_memory / GIB:.0f} GiB, {bf16}"
            )
        return
    cpu = library.backends.cpu.get_cpu_capability()
    card = shutil.which("nvidia-smi") is not None
    remedy = (
        "Install a CUDA build of torch that fits the driver: https://pytorch.org/get-started"
        if card
        else None
    )
    said = f"cpu ({cpu}); no CUDA device seen{', although there is an NVIDIA driver' if card else ''}"
    yield Finding("device", "warning" if card else "ok", said, remedy)


def processors() -> Iterator[Finding]:
    """How many cores this process may use; limits of containers count."""
    from joblib import cpu_count

    usable, installed = cpu_count(), os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    said = f"{usable} of {installed} usable; load {load:.1f}"
    if load > usable:
        yield Finding(
            "cores", "warning", f"{said}, more than there are", "Seconds measured now mean little; steps do."
        )
    else:
        yield Finding("cores", "ok", said)
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads:
        said = f"OMP_NUM_THREADS={threads}; a run takes runtime.threads instead, {usable} if that is null"
        yield Finding("threads", "ok", said)


def memory() -> Iterator[Finding]:
    """How much memory is free."""
    import psutil

    found = psutil.virtual_memory()
    little = found.available < LITTLE_MEMORY_BYTES
    remedy = "Close other programs, or take scale=bench or a smaller recipe.micro_batch." if little else None
    said = f"{found.available / GIB:.1f} of {found.total / GIB:.1f} GiB free"
    yield Finding("memory", "warning" if little else "ok", said, remedy)


def disk() -> Iterator[Finding]:
    """Whether what runs write has a place."""
    from autolrs_cli.compose.user_configs import user_configs
    from autolrs_recipes.data.cache import cache_root

    places = {"runs": Path("runs").absolute(), "cache": cache_root(None), "settings": user_configs()}
    remedies = {
        "runs": "run.dir=PATH",
        "cache": "AUTOLRS_CACHE_DIR=PATH",
        "settings": "AUTOLRS_CONFIG_DIR=PATH",
    }
    for name, place in places.items():
        yield _room(f"disk: {name}", place, remedies[name])


def _room(area: str, place: Path, remedy: str) -> Finding:
    if place.is_relative_to(HOMELESS):
        return Finding(area, "problem", "no home folder is known for this user", f"Set HOME, or {remedy}.")
    there = next(path for path in (place, *place.parents) if path.exists())
    said = f"{place}{'' if there == place else ' (made when needed)'}"
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(area, "problem", f"{said}: not writable", f"Mend its permissions, or set {remedy}.")
    free = shutil.disk_usage(there).free
    little = free < LITTLE_DISK_BYTES
    way_out = f"Free some space, or set {remedy} on a larger disk." if little else None
    return Finding(area, "warning" if little else "ok", f"{said}: {free / GIB:.1f} GiB free", way_out)
