"""The contents of an image folder, hashed: all of them, or of a large folder a sample that is always the same."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autolrs_cli.contracts import Report
from autolrs_recipes.data.cache import cache_root
from autolrs_recipes.data.contents import Contents, hashed, memory_of
from autolrs_recipes.data.images.listing import Listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL_BYTES = 4 << 30
"""The contents of all images are hashed where these have at most so many bytes together (seconds, and once) ..."""
SAMPLE_BYTES = 1 << 30
"""... else of the images with the smallest hashes of their paths, until they have so many."""


@dataclass(frozen=True, eq=False)
class ImageContents:
    """What a fingerprint covers.

    Args:
        root: folder the paths are relative to.
        paths: bytes [N].
        file_bytes: int64 [N].
    """

    root: Path
    paths: NDArray[np.bytes_]
    file_bytes: NDArray[np.int64]

    @classmethod
    def of(cls, root: Path, listings: list[Listing]) -> ImageContents:
        """Return those of all images of some listings."""
        paths = np.concatenate([listing.paths for listing in listings])
        return cls(root, paths, np.concatenate([listing.file_bytes for listing in listings]))

    def chosen(self) -> NDArray[np.int64]:
        """Return the images whose contents count, ascending; they depend on paths and sizes alone."""
        sizes = np.maximum(self.file_bytes, 0)
        if sizes.sum() <= ALL_BYTES:
            return np.arange(len(self.paths))
        order = np.argsort(path_keys(self.paths), kind="stable")
        enough = int(np.searchsorted(np.cumsum(sizes[order]), SAMPLE_BYTES)) + 1
        return np.sort(order[:enough])

    def describe(self) -> str:
        """Say what the fingerprint covers."""
        chosen = self.chosen()
        if len(chosen) == len(self.paths):
            return "fingerprint of names and all contents"
        gigabytes = self.file_bytes[chosen].sum() / 2**30
        return (
            f"fingerprint of names, sizes and the contents of {len(chosen):,} of {len(self.paths):,} images "
            f"({gigabytes:.1f} GiB)"
        )

    def digest(self, report: Report) -> bytes:
        """Return a hash of names, sizes, and the contents that count."""
        digest = hashlib.sha256(b"\0".join(self.paths.tolist()))
        digest.update(self.file_bytes.tobytes())
        digest.update(self._hashed(self.chosen(), report).digests.tobytes())
        return digest.digest()

    def everything(self, report: Report) -> Contents:
        """Hash the contents of all images, read anew."""
        return self._hashed(np.arange(len(self.paths)), report, anew=True)

    def _hashed(self, images: NDArray[np.int64], report: Report, *, anew: bool = False) -> Contents:
        root = os.fsencode(self.root)
        paths = [os.path.join(root, path) for path in self.paths[images].tolist()]  # noqa: PTH118 - bytes
        return hashed(paths, memory_of(cache_root(None), str(self.root)), "reading images", report, anew=anew)


def path_keys(paths: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """Return a hash of each path, [N]."""
    hashes = [hashlib.blake2b(path, digest_size=8).digest() for path in paths.tolist()]
    return np.frombuffer(b"".join(hashes), dtype=np.uint64)
