"""Text files, read strictly: what is not clean text is named, with its line, instead of being guessed at.

Compressed files (gzip, bzip2, xz) and files with a byte order mark (UTF-8, UTF-16, UTF-32) are recognised by their
first bytes, whatever they are called.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import shlex
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from autolrs_cli.errors import ConfigError

MAX_LINE_BYTES = 1 << 20
"""No sentence and no paragraph is longer; what is longer is not text, and could fill the memory."""
_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
# The mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONGEST_HEAD = 6
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def file_problems(key: str, given: object, what: str) -> list[str]:
    """Return what is wrong with a setting that names a text file; of its contents, only the first line is read.

    Args:
        key: the setting, for example "data.source".
        given: its value.
        what: what the file must hold, after "a text file with", for example "one sentence a line".
    """
    if not isinstance(given, str) or not given:
        return [f"`{key}` must name a text file with {what}, but got {key}={given!r}. Set {key}."]
    try:
        path = Path(given).expanduser()
        if not path.exists():
            return [f"`{key}` must be a file, but {key}={given} does not exist. Set {key}."]
        if not path.is_file():
            return [f"`{key}` must be a file, but {key}={given} is not one. Set {key}."]
        if next(read_lines(path), None) is None:
            return [f"`{key}` must hold text, but {key}={given} is empty. Set {key}."]
    except ConfigError as error:
        return list(error.problems)
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; ~nobody
        reason = getattr(error, "strerror", None) or error
        return [f"`{key}` must be readable, but {key}={given} is not: {reason}. Set {key}."]
    return []


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their line ends; only LF and CR LF end a line.

    Raises:
        ConfigError: naming file and line, if a line is not UTF-8 (or what the byte order mark says), holds a NUL, or is
            longer than `MAX_LINE_BYTES`; or if the file is compressed and damaged.
        OSError: if the file cannot be read.
    """
    with _opened(path) as (file, encoding):
        lines = _lines_of_bytes(file, path) if encoding is None else _lines_of_text(file, encoding, path)
        yield from lines


def count_lines(path: Path) -> int:
    """Count lines as `read_lines` yields them; see there for what it raises."""
    with _opened(path) as (file, encoding):
        if encoding is not None:
            return sum(1 for _ in _lines_of_text(file, encoding, path))
        lines, last = 0, b"\n"
        while block := file.read(MAX_LINE_BYTES):
            lines += block.count(b"\n")
            last = block[-1:]
        return lines + (last != b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, str | None]]:
    """Open a file for its uncompressed bytes; with the encoding that its byte order mark names, if it is not UTF-8."""
    with path.open("rb") as plain:
        head = plain.read(_LONGEST_HEAD)
    opener = next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), None)
    try:
        with cast(BinaryIO, path.open("rb") if opener is None else opener(path, "rb")) as file:
            head = file.read(_LONGEST_HEAD)
            file.seek(0)
            yield file, next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    except _DAMAGE as error:
        raise ConfigError(
            f"A compressed file must be whole, but {path} is not: {error}. Copy or compress it again."
        ) from error
    except OSError as error:
        if opener is None or error.errno is not None:
            raise
        raise ConfigError(  # bz2 has no class of its own for damage
            f"A compressed file must be whole, but {path} is not: {error}. Copy or compress it again."
        ) from error


def _lines_of_bytes(file: BinaryIO, path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        yield _decode(line, path, number)


def _lines_of_text(file: BinaryIO, encoding: str, path: Path) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
    number = 0
    try:
        while line := text.readline(MAX_LINE_BYTES + 1):
            number += 1
            _require_short(len(line), path, number)
            _require_no_nul("\0" in line, path, number)
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Text must be in the encoding that its byte order mark names, {encoding.upper()}, but {path} is not, "
            f"after line {number:,}: {error.reason}. Save it as UTF-8."
        ) from error
    finally:
        text.detach()


def _decode(line: bytes, path: Path, number: int) -> str:
    _require_short(len(line), path, number)
    _require_no_nul(b"\0" in line, path, number, _looks_like(line))
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)  # which some editors write
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Text must be UTF-8, but line {number:,} of {path} is not: {error.reason} at byte {error.start + 1}. "
            f"Convert it, for example: iconv -f LATIN1 -t UTF-8 {shlex.quote(str(path))}"
        ) from error


def _require_short(length: int, path: Path, number: int) -> None:
    if length > MAX_LINE_BYTES:
        raise ConfigError(
            f"A line may have {MAX_LINE_BYTES:,} bytes at most, but line {number:,} of {path} has more. "
            "Break it into sentences."
        )


def _require_no_nul(found: bool, path: Path, number: int, encoding: str | None = None) -> None:
    if not found:
        return
    way_out = "Remove them."
    if encoding is not None:
        convert = f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))}"
        way_out = f"It looks like {encoding} without a byte order mark: {convert}"
    raise ConfigError(f"Text must not hold NUL bytes, but line {number:,} of {path} does. {way_out}")


def _looks_like(line: bytes) -> str | None:
    """Return the encoding that NULs at every other byte speak for."""
    even, odd = line[0::2].count(0), line[1::2].count(0)
    if 4 * max(even, odd) < len(line) or min(even, odd):
        return None
    return "UTF-16LE" if odd > even else "UTF-16BE"
