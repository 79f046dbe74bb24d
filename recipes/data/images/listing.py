"""Lists the images of a folder in ImageNet layout, and finds those that cannot be read."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from joblib import cpu_count
from PIL import Image, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_THREADS = 16


@dataclass(frozen=True, eq=False)
class Listing:
    """The images under `root/train` or `root/val`, sorted by path.

    Args:
        folder: "train" or "val".
        exists: whether root/folder is a directory.
        classes: names of its class folders, sorted.
        paths: bytes [N], relative to root; an array, since loader processes would copy a million str objects.
        labels: int64 [N], index into `classes`.
        file_bytes: int64 [N], size of each file; -1 where it cannot even be asked for (a broken link).
    """

    folder: str
    exists: bool
    classes: tuple[str, ...]
    paths: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    file_bytes: NDArray[np.int64]

    def class_sizes(self) -> NDArray[np.int64]:
        """Return the number of images of each class, [C]."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


def list_images(root: Path, folder: str) -> Listing:
    """List root/folder/<class>/**/<image>; a missing folder gives an empty listing.

    Raises:
        OSError: a folder cannot be read.
    """
    top = root / folder
    exists = top.is_dir()
    classes = sorted(entry.name for entry in os.scandir(top) if entry.is_dir()) if exists else []
    found = [(path, label, size) for label, name in enumerate(classes) for path, size in _images(top / name)]
    cut = len(os.fsencode(top)) - len(folder)  # paths start with the folder, whatever the root is written as
    return Listing(
        folder=folder,
        exists=exists,
        classes=tuple(classes),
        paths=np.array([os.fsencode(path)[cut:] for path, _, _ in found], dtype=np.bytes_),
        labels=np.array([label for _, label, _ in found], dtype=np.int64),
        file_bytes=np.array([size for _, _, size in found], dtype=np.int64),
    )


def _images(folder: str | Path, above: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """Yield path and size in bytes of each image below `folder`, in order of path.

    Args:
        folder: where to look.
        above: the folders that it lies in, their links resolved.

    Raises:
        OSError: a folder cannot be read, or leads back to one that it lies in.
    """
    home = os.path.realpath(folder)
    if home in above:
        raise OSError(errno.ELOOP, "a link leads back to a folder that it lies in", str(folder))
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_dir():
            yield from _images(entry.path, (*above, home))
        elif entry.name.lower().endswith(IMG_EXTENSIONS):
            try:
                yield entry.path, entry.stat().st_size
            except OSError:
                yield entry.path, -1


def decode(path: Path) -> Image.Image:
    """Decode an image completely, as RGB with 8 bits a colour; of a moving image, the first frame.

    Raises:
        ValueError: pixels of 32 bits, which have no agreed range.
        Exception: whatever Pillow's plugins stumble over in a broken file; mostly OSError.
    """
    with Image.open(path) as image:
        if image.mode.startswith("I;16"):
            # Pillow would cut 16 bits off at 255, which leaves a white image.
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        if image.mode in ("I", "F"):
            raise ValueError(
                f"pixels of mode {image.mode}, which have no agreed range; convert it to 8 or 16 bits"
            )
        return image.convert("RGB")


def unreadable(root: Path, listings: list[Listing], most: int) -> tuple[list[str], int]:
    """Return every image that cannot be read, as "path (reason)" in order, and how many were decoded.

    Args:
        root: folder the paths are relative to.
        listings: whose images; the sizes of all files are looked at.
        most: how many images to decode, spread evenly over all.
    """
    paths = np.concatenate([listing.paths for listing in listings])
    sizes = np.concatenate([listing.file_bytes for listing in listings])
    broken = {
        int(i): "empty file" if sizes[i] == 0 else "cannot be opened" for i in np.flatnonzero(sizes <= 0)
    }
    sample = np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int).tolist()
    decoded = [i for i in sample if i not in broken]
    faults = _decode_all([root / os.fsdecode(paths[i]) for i in decoded])
    broken.update({i: fault for i, fault in zip(decoded, faults, strict=True) if fault is not None})
    return [f"{os.fsdecode(paths[i])} ({broken[i]})" for i in sorted(broken)], len(decoded)


def _decode_all(paths: list[Path]) -> list[str | None]:
    """Return for each image what is wrong with it, or None."""
    threads = min(_MOST_THREADS, cpu_count())
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # broken metadata of a good image does not matter here
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(pool.map(_fault, paths))


def _fault(path: Path) -> str | None:
    try:
        decode(path)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    except UnidentifiedImageError:
        return "not an image"
    except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None
