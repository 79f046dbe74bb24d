"""Checks of a disk that several machines share: locks, renaming, and reaching the disk, seen from two processes.

The two talk through files alone. On one machine the other process is started here; under srun with two tasks it is
task 1, on another node if there are two.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from autolrs_cli.commands.diagnose.finding import Finding
from autolrs_cli.durable import replace_whole, write_whole
from autolrs_cli.experiments.own_process import python_module
from autolrs_cli.ranks.place import place_given

FOLDER = ".autolrs-shared-check"
_VERSIONS = 200
_PADDING = "x" * 4096
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.01
# Longer than this and a request to stop, or a result, comes late.
_LATE_SECONDS = 30.0


def shared(directory: Path) -> Iterator[Finding]:
    """Whether `directory` offers what runs on several machines need; the other process is started if there is none."""
    folder = directory / FOLDER
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _other_process(folder) as kill:
            yield from _checked(folder, kill)
    except OSError as error:
        yield _problem("shared", f"{directory}: {error}", "Name a folder that you can write.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_other_process() -> bool:
    """Tell whether srun started this process as the second of two."""
    place = place_given()
    return place is not None and place.rank > 0


def be_the_other(directory: Path) -> None:
    """Hold a lock, and read what the first process renames into place, until it says that it has finished."""
    folder = directory / FOLDER
    _until((folder / "hello").exists)
    with FileLock(folder / "lock"):
        replace_whole(folder / "held", orjson.dumps({"host": socket.gethostname()}))
        reads = torn = 0
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (folder / "finished").exists() and time.monotonic() < deadline:
            reads += 1
            torn += not _is_whole(folder / "value")
        replace_whole(folder / "read", orjson.dumps({"reads": reads, "torn": torn}))
        _until((folder / "go").exists)


def _checked(folder: Path, kill: Callable[[], None]) -> Iterator[Finding]:
    if not _until((folder / "held").exists):
        said = f"a second process did not show a file within {_PATIENCE_SECONDS:.0f} s"
        yield _problem("shared: seen", said, "Name a folder that both processes see.")
        return
    host = orjson.loads((folder / "held").read_bytes())["host"]
    yield Finding("shared: seen", "ok", f"by {socket.gethostname()} and {host}")
    yield _lock_is_refused(folder)
    yield _fsync(folder)
    for version in range(_VERSIONS):
        replace_whole(folder / "value", orjson.dumps({"version": version, "padding": _PADDING}))
    replace_whole(folder / "finished", b"{}")
    began = time.monotonic()
    yield _reading(folder, time.monotonic() - began if _until((folder / "read").exists) else None)
    replace_whole(folder / "go", b"{}")
    kill()
    yield _lock_comes_back(folder)


def _lock_is_refused(folder: Path) -> Finding:
    try:
        with FileLock(folder / "lock", timeout=0):
            return _problem(
                "shared: locks",
                "two processes held one lock",
                "Mount it with locks (NFS 4, or local_lock=none): else two processes could write one run.",
            )
    except Timeout:
        return Finding("shared: locks", "ok", "a lock that another process holds is refused")


def _lock_comes_back(folder: Path) -> Finding:
    try:
        began = time.monotonic()
        with FileLock(folder / "lock", timeout=_PATIENCE_SECONDS):
            said = f"{time.monotonic() - began:.1f} s after its process had ended"
            return Finding("shared: unlock", "ok", said)
    except Timeout:
        said = f"not {_PATIENCE_SECONDS:.0f} s after its process had ended"
        return _problem("shared: unlock", said, "A killed run can be resumed only when its lock is free.")


def _fsync(folder: Path) -> Finding:
    began = time.monotonic()
    write_whole(folder / "durable", os.urandom(1 << 20))
    return Finding("shared: fsync", "ok", f"1 MiB on the disk in {time.monotonic() - began:.2f} s")


def _reading(folder: Path, delay: float | None) -> Finding:
    if delay is None:
        return _problem(
            "shared: rename", "the other process did not see the last file", "Mount it without caching."
        )
    found = orjson.loads((folder / "read").read_bytes())
    said = f"{found['reads']} reads of a file replaced {_VERSIONS} times, {found['torn']} torn; seen in {delay:.1f} s"
    if found["torn"]:
        return _problem("shared: rename", said, "Replacing a file must show the old one or the new one.")
    late = delay > _LATE_SECONDS
    remedy = "Requests to stop and results will come late: mount it with a shorter actimeo." if late else None
    return Finding("shared: rename", "warning" if late else "ok", said, remedy)


@contextmanager
def _other_process(folder: Path) -> Iterator[Callable[[], None]]:
    """Start the other process, unless srun did; yield what kills it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    replace_whole(folder / "hello", b"{}")
    if place_given() is not None:
        yield lambda: None
        return
    process = subprocess.Popen(python_module(__name__, str(folder.parent)), stdin=subprocess.DEVNULL)
    try:
        yield lambda: process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


def _is_whole(path: Path) -> bool:
    """Tell whether a file is there as it was written, or not there yet."""
    with suppress(FileNotFoundError):
        try:
            return bool(orjson.loads(path.read_bytes())["padding"] == _PADDING)
        except (ValueError, KeyError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            return False
    return True


def _until(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _problem(area: str, said: str, remedy: str) -> Finding:
    return Finding(area, "problem", said, remedy)


if __name__ == "__main__":
    be_the_other(Path(sys.argv[1]))
