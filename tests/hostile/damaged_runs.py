"""A stopped run, and ways to damage its journal and its checkpoints that a broken disk or an editor may come to."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from harness import USER, run
from hostile_cases import values
from hypothesis import strategies as st
from killing import killed

# What `autolrs resume` ends with in these tests, in place of training.
STOPPED_HERE = "far enough"
# Numbers and texts that JSON has words for; also numbers that only a person would write.
json_values = values.filter(lambda value: is_json(value))
RAW_NUMBERS = ("1e999", "-1e999", "9" * 400, "0.1e-9999", "-0", "NaN", "Infinity", "1_000", "0x1")


def is_json(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def stopped_run(folder: Path) -> Path:
    """Return a toy run that was killed in its second stage, with two checkpoints."""
    assert killed("second stage", lambda: run(folder / "run", "recipe=toy", f"run.config_dir={USER}"))
    return folder / "run"


def copied(run_directory: Path, folder: Path) -> Path:
    """Return a fresh copy in `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run_directory, folder / "run", symlinks=True)
    return folder / "run"


def paths(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index of a JSON value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, part in items:
        yield (*at, name)
        yield from paths(part, (*at, name))


def edit(value: Any, data: st.DataObject) -> Any:
    """Set one value somewhere in `value`, or remove it."""
    found = list(paths(value))
    if not found:
        return data.draw(json_values)
    *path, name = data.draw(st.sampled_from(found))
    node = value
    for part in path:
        node = node[part]
    if data.draw(st.integers(0, 4)):
        node[name] = data.draw(json_values)
    else:
        del node[name]
    return value


def damage_bytes(content: bytes, data: st.DataObject) -> bytes:
    """Flip bits, cut off, put something in, repeat a part, or replace it all."""
    if not content:
        return data.draw(st.binary(max_size=200))
    how = data.draw(st.sampled_from(("flip", "cut", "insert", "repeat", "zero", "all")))
    at = data.draw(st.integers(0, len(content) - 1))
    if how == "flip":
        return content[:at] + bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))]) + content[at + 1 :]
    if how == "cut":
        return content[:at]
    if how == "insert":
        return content[:at] + data.draw(st.binary(min_size=1, max_size=50)) + content[at:]
    if how == "repeat":
        return content[:at] + content[at // 2 :]
    if how == "zero":
        return content[:at] + bytes(min(512, len(content) - at)) + content[at + 512 :]
    return data.draw(st.binary(max_size=200))


def damage_lines(content: bytes, data: st.DataObject) -> bytes:
    """Drop, repeat, swap or edit lines of a journal, or damage its bytes."""
    lines = content.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        if not lines:
            break
        one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        how = data.draw(
            st.sampled_from(("edit", "edit", "edit", "number", "drop", "repeat", "swap", "bytes"))
        )
        if how == "edit":
            try:
                lines[one] = orjson.dumps(edit(orjson.loads(lines[one]), data)) + b"\n"
            except orjson.JSONDecodeError:
                continue
        elif how == "number":
            head, colon, _ = lines[one].rpartition(b'":')
            lines[one] = head + colon + data.draw(st.sampled_from(RAW_NUMBERS)).encode() + b"}\n"
        elif how == "drop":
            del lines[one]
        elif how == "repeat":
            lines.insert(other, lines[one])
        elif how == "swap":
            lines[one], lines[other] = lines[other], lines[one]
        else:
            lines[one] = damage_bytes(lines[one], data)
    return b"".join(lines)


def resealed(folder: Path) -> None:
    """Write the checksums of a checkpoint anew, as someone would who edits it on purpose."""
    import hashlib

    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def with_header(content: bytes, header: bytes) -> bytes:
    """Return a safetensors file whose header is another."""
    size = struct.unpack("<Q", content[:8])[0]
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def require_answer(code: int, said: str) -> None:
    """An exit code that says what happened, and either the run goes on or the person is told why not."""
    assert code in (1, 2), said
    assert "Traceback" not in said
    assert ("error: " in said) if code == 2 else (STOPPED_HERE in said), said
    assert "\x1b[2J" not in said, "it commands the terminal"
