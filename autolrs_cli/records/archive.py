"""Archives: JSON objects, one a line, compressed into one file that is the same whenever it is made of the same."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from autolrs_cli.durable import write_whole
from autolrs_cli.errors import ConfigError

NAME = "records.jsonl.gz"
SCHEMA_VERSION = 1
# What a file of a few megabytes may unfold to: one that was made to fill the memory is refused.
MOST_BYTES = 1 << 29


def write_archive(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write `records`, each with its `kind`, whole or not at all.

    Raises:
        OSError: if the disk does not take it.
    """
    text = io.BytesIO()
    # Without name and time, so that a file made again of the same records is the same.
    with gzip.GzipFile(filename="", fileobj=text, mode="wb", mtime=0) as packed:
        for record in ({"kind": "archive", "schema_version": SCHEMA_VERSION}, *records):
            packed.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue())


def read_archive(path: Path) -> list[dict[str, Any]]:
    """Return the records of an archive.

    Raises:
        ConfigError: if it cannot be read, or is none of this version.
    """
    try:
        with gzip.open(path, "rb") as packed:
            text = packed.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it unfolds to more than {MOST_BYTES:,} bytes")
        head, *records = [orjson.loads(line) for line in text.splitlines()]
        if (head["kind"], head["schema_version"]) != ("archive", SCHEMA_VERSION):
            raise ValueError(f"it begins with {str(head)[:60]}")
        if not all(isinstance(record["kind"], str) for record in records):
            raise ValueError("it holds something that has no kind")
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"An archive of runs must be one that this version of autolrs wrote ({NAME}), but {path} cannot be read: "
            f"{error}. Restore it from a copy, or leave it out."
        ) from error
    return records
