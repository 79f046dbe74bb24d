"""Text files, read strictly: what is not clean UTF-8 text is named, with its line, instead of being guessed at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autolrs_cli.errors import ConfigError

MAX_LINE_BYTES = 1 << 20
"""No sentence and no paragraph is longer; what is longer is not text, and could fill the memory."""


def file_problems(key: str, given: object, what: str) -> list[str]:
    """Return what is wrong with a setting that names a text file; contents are not read.

    Args:
        key: the setting, for example "data.source".
        given: its value.
        what: what the file must hold, after "a text file with", for example "one sentence a line".
    """
    if not isinstance(given, str) or not given:
        return [f"`{key}` must name a text file with {what}, but got {key}={given!r}. Set {key}."]
    path = Path(given).expanduser()
    try:
        if not path.exists():
            return [f"`{key}` must be a file, but {key}={given} does not exist. Set {key}."]
        if not path.is_file():
            return [f"`{key}` must be a file, but {key}={given} is not one. Set {key}."]
        with path.open("rb") as file:
            if not file.read(1):
                return [f"`{key}` must hold text, but {key}={given} is empty. Set {key}."]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        return [f"`{key}` must be readable, but {key}={given} is not: {reason}. Set {key}."]
    return []


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their line ends; only LF and CR LF end a line.

    Raises:
        ConfigError: naming file and line, if a line is not UTF-8, holds a NUL, or is longer than `MAX_LINE_BYTES`.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield _decode(line, path, number)


def _decode(line: bytes, path: Path, number: int) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise ConfigError(
            f"A line may have {MAX_LINE_BYTES:,} bytes at most, but line {number:,} of {path} has more. "
            "Break it into sentences."
        )
    if b"\0" in line:
        raise ConfigError(f"Text must not hold NUL bytes, but line {number:,} of {path} does. Remove them.")
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that some editors write
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Text must be UTF-8, but line {number:,} of {path} is not: {error.reason} at byte {error.start + 1}. "
            f"Convert it, for example: iconv -f LATIN1 -t UTF-8 {path}"
        ) from error
