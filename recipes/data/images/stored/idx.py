"""The idx files of MNIST and its kin: a few bytes of head, then the numbers; plain or packed by gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autolrs_cli.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSIGNED_BYTES = 8
_GZIP = b"\x1f\x8b"
# A head may promise anything: nothing larger than this is unpacked (ImageNet at 64 px has 16 GB).
_MOST_BYTES = 32 << 30
_FETCH = "Copy it again."


def find(root: Path, name: str) -> Path | None:
    """Return the file `name` of a folder, or the same packed by gzip; None if there is neither."""
    return next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)


def shape_of(path: Path, axes: int) -> tuple[int, ...]:
    """Return the shape that the file's head promises.

    Args:
        path: the file; whether it is packed is told by its first bytes.
        axes: how many axes it must have: 1 for labels, 3 for images.

    Raises:
        ConfigError: it is no idx file of bytes with so many axes, or damaged.
    """
    return _shape(path, _unpacked(path, 4 + 4 * axes), axes)


def read(path: Path, axes: int) -> NDArray[np.uint8]:
    """Return the file's numbers in their shape; see `shape_of`.

    Raises:
        ConfigError: also if it has fewer or more bytes than its head promises.
    """
    head = 4 + 4 * axes
    shape = shape_of(path, axes)
    promised = math.prod(shape)
    content = _unpacked(path, head + promised + 1)
    if len(content) - head != promised:
        has = "more" if len(content) - head > promised else f"{max(0, len(content) - head):,}"
        raise ConfigError(
            f"An idx file must have the bytes that its head promises, but {path} promises {promised:,} (shape "
            f"{list(shape)}) and has {has}: it is cut, or no idx file. {_FETCH}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)


def _shape(path: Path, head: bytes, axes: int) -> tuple[int, ...]:
    wanted = bytes((0, 0, _UNSIGNED_BYTES, axes))
    if head[:4] != wanted:
        raise ConfigError(
            f"An idx file with {axes} {'axis' if axes == 1 else 'axes'} of bytes must begin with the magic number "
            f"{wanted.hex()}, but {path} begins with {head[:4].hex() or 'nothing'}. Set data.root to a folder whose "
            "files have the right names and contents."
        )
    if len(head) < 4 + 4 * axes:
        raise ConfigError(f"An idx file must be whole, but {path} ends within its head. {_FETCH}")
    shape = tuple(int.from_bytes(head[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    if math.prod(shape) > _MOST_BYTES:
        raise ConfigError(
            f"An idx file may promise {_MOST_BYTES:,} bytes at most, but {path} promises the shape {list(shape)}. "
            f"{_FETCH}"
        )
    return shape


def _unpacked(path: Path, most: int) -> bytes:
    """Return the first bytes of a file's content, at most so many."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return file.read(most)
            with gzip.open(file) as unpacked:
                return unpacked.read(most)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(f"A packed idx file must be whole, but {path} is not: {error}. {_FETCH}") from error
    except OSError as error:
        raise ConfigError(
            f"`data.root` must hold files that can be read, but {path} cannot: {error.strerror or error}. Change its "
            "permissions or set data.root."
        ) from error
