"""Which code, libraries and machine made a result."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

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
# The packages and modules whose code can change the numbers of a run; screens and commands cannot.
RESULT_CODE = {
    "autolrs_cli": ("search", "schedules", "training", "contracts.py", "runner", "seeding.py", "settings.py"),
    "autolrs_recipes": ("",),
}


def versions() -> dict[str, str]:
    """Return library name -> version, with Python itself."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def code_version(modules: Iterable[str] = ()) -> str:
    """Return 12 hex digits of the hash of all source files that can change results.

    Args:
        modules: top-level modules beside ours, importable, whose files (and those beside them) count too: where a
            person's own recipe lies.
    """
    digest = hashlib.sha256()
    for package, parts in RESULT_CODE.items():
        for part in parts:
            root = files(package)
            for name, text in sorted(_sources(root / part if part else root, part)):
                digest.update(f"{package}/{name}\0".encode())
                digest.update(text)
    for module in sorted(modules):
        for path in _files_of(module):
            digest.update(f"{module}/{path.name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _files_of(module: str) -> list[Path]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent
    return sorted(folder.rglob("*.py") if spec.submodule_search_locations else folder.glob("*.py"))


def _sources(node: Traversable, name: str) -> list[tuple[str, bytes]]:
    if node.is_file():
        return [(name, node.read_bytes())] if name.endswith(".py") else []
    children = (child for child in node.iterdir() if child.name != "__pycache__")
    return [item for child in children for item in _sources(child, f"{name}/{child.name}")]
