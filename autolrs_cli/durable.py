"""Files that are whole or absent, also after a power cut."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all, also after a power cut; text as UTF-8.

    Raises:
        OSError: if the disk does not take it.
    """
    with written_aside(path) as aside:
        aside.write_bytes(_bytes(content))


def replace_whole(path: Path, content: str | bytes) -> None:
    """Write a file that others read or write at any moment: whole at each, but not waited for until the disk has it.

    Raises:
        OSError: if the disk does not take it.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_bytes(_bytes(content))
    aside.replace(path)


@contextmanager
def written_aside(final: Path) -> Iterator[Path]:
    """Yield a path to write a file or folder at; it becomes `final` once all is written, and is removed otherwise.

    Raises:
        OSError: if the disk does not take it, or `final` is a folder with something in it.
    """
    aside = final.with_name(f".{final.name}.part")
    _remove(aside)
    try:
        yield aside
        publish(aside, final)
    except BaseException:
        _remove(aside)
        raise


def publish(aside: Path, final: Path) -> None:
    """Rename a file or folder that was written aside, once its content has reached the disk.

    Raises:
        OSError: if the disk does not take it.
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


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
