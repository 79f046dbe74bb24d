"""Handwritten digits: 1,797 real 8x8 images that come with scikit-learn, so nothing is downloaded."""

from __future__ import annotations

import gzip
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor

from autolrs_cli.contracts import Batch
from autolrs_cli.seeding import generator
from autolrs_cli.values import Fraction, HeldOutFraction, checked
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.streams import Draw, ImageReader, Slice
from autolrs_recipes.data.splits import rank_in_class, taken_per_class

MEAN, STD = 0.3053, 0.3760
"""Of all pixels of scikit-learn's digits, scaled to [0, 1] (measured)."""
_BRIGHTEST = 16.0
_SOURCE_PIXELS = 8


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return what scikit-learn's `load_digits` does: brightness, float64 [N, 8, 8] in [0, 16], and labels, int64 [N].

    Its file is read where it lies: to import the library takes longer than all else that is read.
    """
    library = find_spec("sklearn")
    folders = library.submodule_search_locations if library else None
    path = Path(folders[0]) / "datasets" / "data" / "digits.csv.gz" if folders else None
    if path is None or not path.is_file():  # a release that keeps it elsewhere
        from sklearn.datasets import load_digits

        digits = load_digits()
        return digits.images, digits.target.astype(np.int64)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, _SOURCE_PIXELS, _SOURCE_PIXELS), table[:, -1].astype(np.int64)


@checked
@dataclass(kw_only=True, eq=False)
class Digits:
    """The digits, enlarged to `image_size` and augmented by small random rotations, shifts and zooms.

    Args:
        image_size: edge of the square images, in pixels.
        choose_fraction: share of the images that chooses LRs.
        target_fraction: share of the images that decides targets.
        rotate_degrees: rotations are drawn from [-rotate_degrees, rotate_degrees].
        shift_fraction: shifts along each axis are drawn from +-shift_fraction of the edge.
        zoom_fraction: zooms are drawn from 1 +- zoom_fraction.
    """

    image_size: Annotated[int, Field(strict=True, ge=_SOURCE_PIXELS)]
    choose_fraction: HeldOutFraction
    target_fraction: HeldOutFraction
    rotate_degrees: Annotated[float, Field(strict=True, ge=0, le=180)]
    shift_fraction: Fraction
    zoom_fraction: Annotated[float, Field(strict=True, ge=0, le=0.9)]

    bundled = True  # nothing is to be given or loaded: it comes with what is installed

    @property
    def num_classes(self) -> int:
        """Ten digits."""
        return 10

    @property
    def sizes(self) -> dict[str, int]:
        """Images per slice."""
        return {name: len(members) for name, members in self._slices.items()}

    def describe(self) -> str:
        """Say what the data is, in words."""
        pixels, _ = self._images
        return f"handwritten digits (scikit-learn), {len(pixels):,} images, resized to {self.image_size} px"

    def problems(self) -> list[str]:
        """Return every problem with the split."""
        _, labels = self._images
        train = np.bincount(labels[self._slices["train"]], minlength=self.num_classes)
        if train.min() >= 1:
            return []
        return [
            "Both held-out slices together must leave training images of every digit, but got "
            f"data.choose_fraction={self.choose_fraction} and data.target_fraction={self.target_fraction}. "
            "Lower one of them."
        ]

    def fingerprint(self) -> str:
        """Return a hash of pixels, labels and split."""
        digest = hashlib.sha256()
        for array in (*self._images, *self._slices.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]

    def preprocessing(self) -> Preprocessing:
        """Return how digits are made ready, but for the black that `DigitsReader` sees around them."""
        edges = (self.image_size, self.image_size)
        names = tuple(map(str, range(self.num_classes)))
        return Preprocessing(names, self.image_size, edges, (MEAN,) * 3, (STD,) * 3)

    def reader(self, which: Slice) -> ImageReader:
        """Open a slice."""
        pixels, labels = self._images
        members = self._slices[which]
        return DigitsReader(
            pixels=torch.from_numpy(pixels[members]).unsqueeze(1),
            labels=torch.from_numpy(labels[members]),
            ids=torch.from_numpy(members),
            image_size=self.image_size,
            rotate_radians=math.radians(self.rotate_degrees),
            shift_fraction=self.shift_fraction,
            zoom_fraction=self.zoom_fraction,
        )

    @cached_property
    def _images(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels, float32 [N, 8, 8] in [0, 1], and labels, int64 [N]."""
        pixels, labels = read_digits()
        return (pixels / _BRIGHTEST).astype(np.float32), labels

    @cached_property
    def _slices(self) -> dict[str, np.ndarray]:
        """Images (int64, ascending) of each slice; stratified, and by content: duplicates stay together."""
        pixels, labels = self._images
        keys = [int.from_bytes(hashlib.sha256(p.tobytes()).digest()[:8], "big") for p in pixels]
        rank = rank_in_class(np.array(keys, dtype=np.uint64), labels)
        class_sizes = np.bincount(labels, minlength=self.num_classes)
        target_end = taken_per_class(class_sizes, self.target_fraction)[labels]
        choose_end = target_end + taken_per_class(class_sizes, self.choose_fraction)[labels]
        return {
            "train": np.flatnonzero(rank >= choose_end),
            "choose": np.flatnonzero((target_end <= rank) & (rank < choose_end)),
            "target": np.flatnonzero(rank < target_end),
        }


@dataclass(eq=False)
class DigitsReader:
    """One slice of the digits; enlarging and augmentation are one resampling of the whole batch.

    Args:
        pixels: float32 [N, 1, 8, 8] in [0, 1].
        labels: int64 [N].
        ids: int64 [N], place in scikit-learn's data set.
        image_size: edge of the images that are returned, in pixels.
        rotate_radians: largest rotation.
        shift_fraction: largest shift, as a share of the edge.
        zoom_fraction: largest change of size.
    """

    pixels: Tensor
    labels: Tensor
    ids: Tensor
    image_size: int
    rotate_radians: float
    shift_fraction: float
    zoom_fraction: float

    def __post_init__(self) -> None:
        # Pixel centres of the enlarged image in grid_sample's coordinates, where the source spans [-1, 1].
        centres = (torch.arange(self.image_size) * 2 + 1) / self.image_size - 1
        self._x, self._y = centres.view(1, 1, -1), centres.view(1, -1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, examples: Tensor, draw: Draw | None) -> Batch:
        """Return one batch; see `ImageReader.read`."""
        grid = self._grid(self._draws(draw, len(examples)))
        images = F.grid_sample(self.pixels[examples], grid, align_corners=False)
        images = images.sub_(MEAN).div_(STD).expand(-1, 3, -1, -1)
        return {
            "images": images.contiguous(memory_format=torch.channels_last),
            "labels": self.labels[examples],
            "ids": self.ids[examples],
        }

    def _draws(self, draw: Draw | None, count: int) -> Tensor:
        """Return rotation, zoom and both shifts, each in [-1, 1], as [4, count]; 0 if not augmented."""
        if draw is None:
            return torch.zeros(4, count)
        stream = generator(draw.seed, "data", "augmentation", draw.phase, draw.step)
        everything = torch.rand(draw.global_batch, 4, generator=stream)
        return everything[draw.first : draw.first + count].mul(2).sub(1).t()

    def _grid(self, draws: Tensor) -> Tensor:
        """Return where to sample each pixel, [B, H, W, 2].

        Elementwise arithmetic instead of affine_grid's matrix product, whose last bit may depend on B.
        """
        rotation, zoom, shift_x, shift_y = draws.unsqueeze(-1).unsqueeze(-1)
        angle, size = rotation * self.rotate_radians, 1 / (1 + zoom * self.zoom_fraction)
        cos, sin = angle.cos() * size, angle.sin() * size
        x = self._x * cos - self._y * sin + shift_x * (2 * self.shift_fraction)
        y = self._x * sin + self._y * cos + shift_y * (2 * self.shift_fraction)
        return torch.stack((x, y), dim=-1)
