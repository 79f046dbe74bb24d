"""Which libraries made a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

LIBRARIES = (
    "autolrs",
    "babel",
    "botorch",
    "datasets",
    "gpytorch",
    "hydra-core",
    "num2words",
    "numpy",
    "pillow",
    "sacrebleu",
    "scikit-learn",
    "scipy",
    "sentencex",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
)


def versions() -> dict[str, str]:
    """Return library name -> version, with Python itself."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


@cache  # a process goes on with what it imported, and looking all of them up takes 10 ms or more
def _version(library: str) -> str:
    return version(library)
