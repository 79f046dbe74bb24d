"""Files that are whole or absent, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def publish(aside: Path, final: Path) -> None:
    """Rename a file or folder that was written aside, once its content has reached the disk.

    Raises:
        OSError: if the disk takes it not.
    """
    files = [path for path in aside.rglob("*") if path.is_file()] if aside.is_dir() else [aside]
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if aside.is_dir():
        aside.rename(final)
    else:
        aside.replace(final)
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
