"""Lists the images of a folder in ImageNet layout, and counts what is left out."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIDDEN, OUTSIDE, NO_SUFFIX = "hidden", "outside of class folders", "without a suffix"


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
        left_out: what is there but not read: suffix, or reason -> number of files and hidden folders.
    """

    folder: str
    exists: bool
    classes: tuple[str, ...]
    paths: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    file_bytes: NDArray[np.int64]
    left_out: Counter[str] = field(default_factory=Counter)

    def class_sizes(self) -> NDArray[np.int64]:
        """Return the number of images of each class, [C]."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


def list_images(root: Path, folder: str, suffixes: Collection[str]) -> Listing:
    """List root/folder/<class>/**/<image>; a missing folder gives an empty listing.

    What begins with a dot (.ipynb_checkpoints, .DS_Store, macOS's ._copies) is neither class nor image.

    Args:
        root: folder that holds `folder`.
        folder: "train" or "val".
        suffixes: of images, in lower case and with their dots.

    Raises:
        OSError: a folder cannot be read.
    """
    top = root / folder
    walk = _Walk(suffixes)
    classes = walk.classes(top) if top.is_dir() else []
    found = [
        (path, label, size) for label, name in enumerate(classes) for path, size in walk.images(top / name)
    ]
    cut = len(os.fsencode(top)) - len(folder)  # paths start with the folder, whatever the root is written as
    return Listing(
        folder=folder,
        exists=top.is_dir(),
        classes=tuple(classes),
        paths=np.array([os.fsencode(path)[cut:] for path, _, _ in found], dtype=np.bytes_),
        labels=np.array([label for _, label, _ in found], dtype=np.int64),
        file_bytes=np.array([size for _, _, size in found], dtype=np.int64),
        left_out=walk.left_out,
    )


class _Walk:
    """Goes through folders and counts what it passes by."""

    def __init__(self, suffixes: Collection[str]) -> None:
        self.suffixes = suffixes
        self.left_out: Counter[str] = Counter()

    def classes(self, top: Path) -> list[str]:
        """Return the names of the class folders in `top`, sorted."""
        names = []
        for entry in os.scandir(top):
            if entry.name.startswith("."):
                self.left_out[HIDDEN] += 1
            elif entry.is_dir():
                names.append(entry.name)
            else:
                self.left_out[OUTSIDE] += 1
        return sorted(names)

    def images(self, folder: str | Path, above: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
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
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path per image of ImageNet takes seconds
            if entry.name.startswith("."):
                self.left_out[HIDDEN] += 1
            elif entry.is_dir():
                yield from self.images(entry.path, (*above, home))
            elif suffix not in self.suffixes:
                self.left_out[suffix or NO_SUFFIX] += 1
            else:
                yield entry.path, _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return -1


def left_out_in_words(listings: Collection[Listing], most: int = 5) -> str:
    """Return "12 .txt, 3 hidden", the most frequent first; empty if nothing was left out."""
    total = sum((listing.left_out for listing in listings), Counter[str]())
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{count:,} {what}" for what, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:])
    return ", ".join([*said, *([f"{rest:,} others"] if rest else [])])
