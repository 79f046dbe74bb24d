"""Paths that an unfinished word may become."""

from __future__ import annotations

import os
from collections.abc import Iterator


def paths(word: str, *, folders_only: bool = False) -> Iterator[str]:
    """Yield the files and folders that begin with `word`, folders with a slash; hidden ones only if asked for."""
    folder, slash, start = word.rpartition("/")
    place = os.path.expanduser(f"{folder}{slash}") if slash else "."  # noqa: PTH111 - `~` stays in the word
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start.startswith(".")):
            continue
        is_folder = entry.is_dir()
        if is_folder or not folders_only:
            yield f"{folder}{slash}{entry.name}{'/' if is_folder else ''}"
