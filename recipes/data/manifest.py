"""What a prepared folder holds, written into it last: sizes and hashes by which damage is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from autolrs_cli.contracts import Report

MANIFEST = "manifest.json"
HASHED_BYTES = 64 << 20
"""Files of at most so many bytes are hashed at every start (a tenth of a second); of larger ones the size is checked,
and the hash when everything is."""
_BLOCK_BYTES = 1 << 20


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, report: Report) -> None:
    """Write down size and hash of every file in `folder`.

    Raises:
        OSError: if a file cannot be read, or the manifest not be written.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    entries = {}
    for number, name in enumerate(names):
        path = folder / name
        if path.stat().st_size > HASHED_BYTES:
            report("hashing what was prepared", number, len(names))
        entries[name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (folder / MANIFEST).write_text(json.dumps({"files": entries}, indent=1), encoding="utf-8")


def damage(folder: Path, *, full: bool = False) -> str | None:
    """Return in words what is wrong with a prepared folder; None: nothing.

    Args:
        folder: filled, and closed with `write_manifest`.
        full: hash the files of more than `HASHED_BYTES`, too.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    if not expected:
        return f"{MANIFEST} names no file"
    found = (_fault(folder / name, *entry, full=full) for name, entry in expected.items())
    return next((fault for fault in found if fault), None)


def _fault(path: Path, size: int, digest: str, *, full: bool) -> str | None:
    try:
        # Not is_file(): that is also said of what cannot be opened.
        found = os.stat(path).st_size  # noqa: PTH116 - a NUL in the name is a ValueError here, too
        if found != size:
            return f"{path.name} has {found:,} bytes, not {size:,}"
        if (full or size <= HASHED_BYTES) and file_digest(path) != digest:
            return f"the content of {path.name} has changed"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read ({getattr(error, 'strerror', None) or error})"
    return None
