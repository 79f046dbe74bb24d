"""Hashes of the contents of files, remembered by path, size, time and inode, so that an unchanged file is read once."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

import numpy as np
from joblib import cpu_count

from autolrs_cli.contracts import Report
from autolrs_cli.durable import publish

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Digests = NDArray[np.uint8]
    """[N, 32], SHA-256."""

Q = TypeVar("Q")
A = TypeVar("A")
FOLDER = "content_hashes"
QUIET_BYTES = 64 << 20
"""Read within a moment at every start of a run: not worth a line, nor being remembered."""
_ENOUGH = 4096
_DIGEST_BYTES = 32
_BLOCK_BYTES = 1 << 20
_MOST_THREADS = 8
# A file that changes twice within a clock's tick looks the same the second time.
_SETTLED_NANOSECONDS = 2 * 10**9
_REPORTS = 100


@dataclass(frozen=True)
class Contents:
    """Hashes of files.

    Args:
        digests: [N, 32], in the order asked for; zeros for what is no file or cannot be read.
        rotten: files whose content differs from what was remembered, though size, time and inode do not.
    """

    digests: Digests
    rotten: list[str]


def hashed(
    paths: Sequence[bytes], memory: Path | None, what: str, report: Report, *, anew: bool = False
) -> Contents:
    """Return the hash of each file's content.

    Args:
        paths: absolute paths.
        memory: from `memory_of`; None: nothing is remembered.
        what: what is being done, for `report`.
        report: told how the reading goes, in bytes.
        anew: read every file, also those that are remembered.
    """
    states = np.array([_state(path) for path in paths], dtype=np.int64).reshape(-1, 3)
    known, digests = _nothing(len(paths)) if memory is None else _remembered(memory, paths, states)
    wanted = np.arange(len(paths)) if anew else np.flatnonzero(~known)
    files = wanted[states[wanted, 0] >= 0]
    before = digests.copy()
    digests[wanted] = 0
    sizes = states[files, 0].tolist()
    for place, digest in zip(
        files.tolist(), _read([paths[i] for i in files], sizes, what, report), strict=True
    ):
        digests[place] = np.frombuffer(digest, dtype=np.uint8)
    if memory is not None and len(wanted):
        _remember(memory, paths, states, digests)
    rotten = np.flatnonzero(known & (digests != before).any(axis=1))
    return Contents(digests, [os.fsdecode(paths[i]) for i in rotten.tolist()])


def memory_of(cache: Path, name: str) -> Path:
    """Return the file of the cache that hashes of the files called `name` are remembered in."""
    return cache / FOLDER / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.npz"


def _state(path: bytes) -> tuple[int, int, int]:
    """Return size, time of change and inode; -1s for what is no regular file: a pipe would be waited for."""
    try:
        found = os.stat(path)  # noqa: PTH116 - bytes
    except (OSError, ValueError):
        return -1, -1, -1
    if not stat.S_ISREG(found.st_mode):
        return -1, -1, -1
    return found.st_size, found.st_mtime_ns, found.st_ino & (2**63 - 1)


def _read(paths: list[bytes], sizes: list[int], what: str, report: Report) -> Iterator[bytes]:
    total, done, told = sum(sizes), 0, -1
    with ThreadPoolExecutor(min(_MOST_THREADS, cpu_count())) as pool:
        for size, digest in zip(sizes, in_order(pool, _digest, paths), strict=True):
            done += size
            if total >= QUIET_BYTES and done * _REPORTS // total > told:
                told = done * _REPORTS // total
                report(what, done, total)
            yield digest


def in_order(pool: ThreadPoolExecutor, function: Callable[[Q], A], questions: Sequence[Q]) -> Iterator[A]:
    """Map as `pool.map` does, which would make a million futures at once."""
    for first in range(0, len(questions), _ENOUGH):
        yield from pool.map(function, questions[first : first + _ENOUGH])


def _digest(path: bytes) -> bytes:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - bytes
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return bytes(_DIGEST_BYTES)
    return digest.digest()


def _remembered(
    memory: Path, paths: Sequence[bytes], states: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Digests]:
    """Return which files are as they are remembered, [N], and their digests, [N, 32]."""
    known, digests = _nothing(len(paths))
    try:
        with np.load(memory, allow_pickle=False) as stored:
            old = {name: stored[name] for name in ("paths", "states", "digests")}
        place = {path: i for i, path in enumerate(old["paths"].tolist())}
        at = np.array([place.get(path, -1) for path in paths], dtype=np.int64)
        known = (at >= 0) & (old["states"][at] == states).all(axis=1) & (states[:, 0] >= 0)
        digests[known] = old["digests"][at[known]]
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile, NotImplementedError):
        known[:] = False  # there is no memory yet, or it is damaged
    return known, digests


def _nothing(count: int) -> tuple[NDArray[np.bool_], Digests]:
    return np.zeros(count, dtype=np.bool_), np.zeros((count, _DIGEST_BYTES), dtype=np.uint8)


def _remember(memory: Path, paths: Sequence[bytes], states: NDArray[np.int64], digests: Digests) -> None:
    settled = (states[:, 0] >= 0) & (states[:, 1] < time.time_ns() - _SETTLED_NANOSECONDS)
    settled &= digests.any(axis=1)
    aside = memory.with_name(f"{memory.name}.{os.getpid()}.part")
    with suppress(OSError):  # without a cache, files are read again
        memory.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            names = np.array(list(paths), dtype=np.bytes_)
            np.savez(file, paths=names[settled], states=states[settled], digests=digests[settled])
        publish(aside, memory)
