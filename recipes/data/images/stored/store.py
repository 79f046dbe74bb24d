"""Images decoded once: a file of bytes that is memory-mapped, and what else a slice of them needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional as vision

from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = ("train", "held_out")
KEY_BYTES = 16
_SUMMARY = "summary.json"
_REPORT_EVERY = 2_000
_LEVELS = 256
# More digits than these say nothing: training draws crops and flips anew in every epoch.
_DIGITS = 4


@dataclass(frozen=True)
class SourceImage:
    """One image as its source has it.

    Args:
        image: grey (mode L) or coloured (RGB), of any size.
        label: index of its class.
        content: what its source calls it, by which duplicates are known: the bytes of its file, or its pixels.
    """

    image: Image.Image
    label: int
    content: bytes


@dataclass(frozen=True)
class SourcePart:
    """The images that are trained on, or those that are held out."""

    images: Iterable[SourceImage]
    count: int


def write_store(
    folder: Path,
    parts: dict[str, SourcePart],
    classes: Sequence[str],
    edge: int,
    report: Report,
    *,
    grey: bool,
) -> None:
    """Fill `folder` with the images of each part, cut to squares.

    Args:
        folder: empty.
        parts: by their names in `PARTS`; the second may be missing.
        classes: names of the labels, in their order.
        edge: of the squares: the shorter edge of each image becomes so long, and its middle is kept.
        report: told how it goes.
        grey: keep one colour instead of three.

    Raises:
        ConfigError: whatever reading the images raises.
    """
    counts: NDArray[np.int64] = np.zeros((1 if grey else 3, _LEVELS), dtype=np.int64)
    for name, part in parts.items():
        labels = np.empty(part.count, dtype=np.int64)
        keys = np.empty((part.count, KEY_BYTES), dtype=np.uint8)
        # Written in order, not through a map of the file: a full disk is an error then, and no fatal signal.
        with (folder / f"{name}.npy").open("wb") as file:
            shape = (part.count, edge, edge, len(counts))
            head = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for place, each in enumerate(part.images):
                if place % _REPORT_EVERY == 0:
                    report(f"decoding images ({name.replace('_', ' ')})", place, part.count)
                pixels = _square(each.image, edge, grey=grey)
                file.write(np.ascontiguousarray(pixels).data)
                labels[place], keys[place] = each.label, _key(each.content)
                if name == "train":
                    _count(counts, pixels)
        np.save(folder / f"{name}_labels.npy", labels)
        np.save(folder / f"{name}_keys.npy", keys)
    mean, std = _moments(counts)
    summary = {"classes": list(classes), "mean": mean, "std": std, "edge": edge, "grey": grey}
    (folder / _SUMMARY).write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")


def _key(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.blake2b(content, digest_size=KEY_BYTES).digest(), dtype=np.uint8)


def _square(image: Image.Image, edge: int, *, grey: bool) -> NDArray[np.uint8]:
    """Return uint8 [edge, edge, C], as the exported preprocessing would cut the image."""
    if image.size != (edge, edge):
        image = vision.center_crop(vision.resize(image, [edge]), [edge])
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _count(counts: NDArray[np.int64], pixels: NDArray[np.uint8]) -> None:
    for colour in range(len(counts)):
        counts[colour] += np.bincount(pixels[..., colour].ravel(), minlength=_LEVELS)


def _moments(counts: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return mean and deviation per colour of pixels in [0, 1], from how often each level occurs [C, 256]."""
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    total = counts.sum(axis=1)
    mean = counts @ levels / total
    std = np.sqrt(np.maximum(counts @ levels**2 / total - mean**2, 0))
    # Images of one shade all over would be divided by zero.
    return mean.round(_DIGITS).tolist(), np.maximum(std.round(_DIGITS), 10.0**-_DIGITS).tolist()


class ImageStore:
    """What `write_store` wrote; picklable, and each process maps the file of pixels for itself.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[str, NDArray[np.uint8]] = {}

    @cached_property
    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.folder / _SUMMARY).read_text(encoding="utf-8"))
        return summary

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        return tuple(self._summary["classes"])

    @property
    def mean(self) -> tuple[float, ...]:
        """Of the training images' pixels in [0, 1]: one, or one per colour."""
        return tuple(self._summary["mean"])

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of these."""
        return tuple(self._summary["std"])

    @property
    def edge(self) -> int:
        """Of the squares, in pixels."""
        return int(self._summary["edge"])

    def has(self, part: str) -> bool:
        """Whether there is such a part."""
        return (self.folder / f"{part}.npy").exists()

    def pixels(self, part: str) -> NDArray[np.uint8]:
        """Return uint8 [N, edge, edge, 1 or 3], on the disk until they are read."""
        if part not in self._maps:
            self._maps[part] = np.load(self.folder / f"{part}.npy", mmap_mode="r")
        return self._maps[part]

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return int64 [N]."""
        found: NDArray[np.int64] = np.load(self.folder / f"{part}_labels.npy")
        return found

    def keys(self, part: str) -> NDArray[np.uint8]:
        """Return uint8 [N, KEY_BYTES], a hash of each image's content."""
        found: NDArray[np.uint8] = np.load(self.folder / f"{part}_keys.npy")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}  # a mapped file would be sent as the bytes in it


def require_labels(
    labels: NDArray[np.int64], num_classes: int, where: str, names: Sequence[str] = ()
) -> None:
    """Check that every label names a class.

    Raises:
        ConfigError: naming one that does not.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        known = f" ({', '.join(names[:5])}, ...)" if names else ""
        raise ConfigError(
            f"Every label must be one of 0 to {num_classes - 1}{known}, but {len(wrong):,} of {where} are not: the "
            f"first is {labels[wrong[0]]} of image {wrong[0]:,}. Give data whose labels are whole."
        )
