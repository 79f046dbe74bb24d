"""What configurations were composed to, kept for as long as nothing that they are composed of has changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from autolrs_cli.compose.hydra_app import config_dirs
from autolrs_cli.compose.user_configs import user_configs
from autolrs_cli.durable import replace_whole
from autolrs_cli.runner.instantiate import OUR_PACKAGES

PACKAGES = (*OUR_PACKAGES, "autolrs_configs")
LIBRARIES = ("hydra-core", "omegaconf", "torch")
# A folder of a person's own with more than this in it is not read through each time.
MOST_FILES = 2_000
# What these resolve to is not in the files: nothing is remembered then. Ours use oc.select alone.
_RESOLVER = re.compile(rb"\$\{\s*(?!oc\.select)[\w.]+\s*:")


class ComposedMemory:
    """Remembers, beside the runs, what command lines were composed to.

    A composition takes half a second, and checks more; hundreds of them are most of what a finished reproduction costs
    when it is typed again. What is remembered holds only with the very same words, in the same folder, with the same
    files of ours (code and configurations), of the person's, and the same libraries; else it is composed anew.

    Args:
        path: file that keeps it; need not be there.
        overrides: of the command, which may name a folder of the person's own.
    """

    def __init__(self, path: Path, overrides: Sequence[str]) -> None:
        self._path = path
        self._overrides = tuple(overrides)
        self._known = _read(path)

    def get(self, words: Sequence[str]) -> Any | None:
        """Return what was kept for these words; None: nothing that still holds."""
        key = self._key(words)
        return None if key is None else self._known.get(key)

    def put(self, words: Sequence[str], composed: Any) -> None:
        """Keep JSON for these words."""
        key = self._key(words)
        if key is None:
            return
        self._known[key] = composed
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(self._path, orjson.dumps(self._known))

    def _key(self, words: Sequence[str]) -> str | None:
        tuned = _contents([user_configs()])
        if self._unchanging is None or tuned is None or _RESOLVER.search(" ".join(words).encode()):
            return None
        text = orjson.dumps([list(words), str(Path.cwd()), self._unchanging, tuned])
        return hashlib.sha256(text).hexdigest()

    @cached_property
    def _unchanging(self) -> str | None:
        """A hash of all that decides about a composition and stays as it is while a command runs; None: unknown."""
        libraries = [f"{name} {version(name)}" for name in LIBRARIES]
        ours = _contents([Path(str(files(package))) for package in PACKAGES])
        persons = _contents([Path(folder) for folder in config_dirs(self._overrides)])
        return None if ours is None or persons is None else "\n".join([*libraries, ours, persons])


def _contents(folders: Sequence[Path]) -> str | None:
    """Return a hash of the code and configurations below these folders; None: too many, or not in the files alone."""
    digest = hashlib.sha256()
    for number, path in enumerate(path for folder in folders for path in _sources(folder)):
        text = path.read_bytes()
        if number >= MOST_FILES or (path.suffix == ".yaml" and _RESOLVER.search(text)):
            return None
        digest.update(f"{path}\n{len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    for folder, names, own in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith((".", "__pycache__")))
        yield from (Path(folder, name) for name in sorted(own) if name.endswith((".py", ".yaml")))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
