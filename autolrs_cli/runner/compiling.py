"""What `runtime.compile` needs of this machine and of torch."""

from __future__ import annotations

import os
import shutil

import torch

from autolrs_cli.settings import Compile


def compile_deterministically() -> None:
    """Keep the compiler from choosing kernels by how fast they are here and now: each rounds its sums in its own way.

    A torch that does not know the setting chooses, and remembers its choice on this machine.
    """
    import torch._inductor.config as settings

    if hasattr(settings, "deterministic"):
        settings.deterministic = True


def compiler_problems(compiled: Compile, device: torch.device) -> list[str]:
    """Return a problem where a loss is to be compiled and nothing here compiles: known before training begins."""
    if compiled == "none":
        return []
    # Kernels for the CPU are C++ (CXX; torch takes g++ by default), the launchers of those for CUDA are C (CC).
    key, usual = ("CC", ("gcc", "clang")) if device.type == "cuda" else ("CXX", ("g++",))
    named = os.environ.get(key)
    wanted = (named,) if named else usual
    if any(shutil.which(name.split()[0]) for name in wanted if name.strip()):
        return []
    return [
        f"`runtime.compile={compiled}` needs a compiler, but there is no {' or '.join(wanted)} here. Install one "
        f"(Debian: apt-get install g++), name it in {key}, or set runtime.compile=none."
    ]
