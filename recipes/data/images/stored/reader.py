"""Reads images that lie decoded in a file: shifted, mirrored or cropped at random when they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from autolrs_cli.contracts import Batch
from autolrs_cli.seeding import generator
from autolrs_recipes.data.images.stored.store import ImageStore
from autolrs_recipes.data.images.streams import Draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RATIO = 4 / 3
"""Crops are at most so much wider than high, or higher than wide, as [Goyal2017]_'s are."""


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images.

    Args:
        pad_pixels: each is shifted along each axis by up to so many, and black comes in at the edges.
        flip: whether half of them are mirrored, left to right.
        least_area: crops of an area between this share and all of an image are enlarged to its size; None: none.
    """

    pad_pixels: int
    flip: bool
    least_area: float | None


@dataclass(eq=False)
class StoredImagesReader:
    """One slice.

    Args:
        store: where the images are.
        part: which part of it the slice lies in.
        places: int64 [N], of the slice's images in that part.
        labels: int64 [N].
        ids: int64 [N].
        image_size: edge of the images that are returned, in pixels; at most the store's.
        augmentation: of training images.
    """

    store: ImageStore
    part: str
    places: NDArray[np.int64]
    labels: Tensor
    ids: Tensor
    image_size: int
    augmentation: Augmentation

    def __post_init__(self) -> None:
        self._mean = torch.tensor(self.store.mean) * 255
        self._std = torch.tensor(self.store.std) * 255
        # Pixel centres in grid_sample's coordinates, where an image spans [-1, 1].
        centres = (torch.arange(self.image_size) * 2 + 1) / self.image_size - 1
        self._x, self._y = centres.view(1, 1, -1), centres.view(1, -1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, examples: Tensor, draw: Draw | None) -> Batch:
        """Return one batch; see `ImageReader.read`."""
        pixels = self.store.pixels(self.part)[self.places[examples.numpy()]]
        if draw is None:
            images = self._normalised(self._centre(pixels))
        else:
            stream = generator(draw.seed, "data", "augmentation", draw.phase, draw.step)
            everything = torch.rand(draw.global_batch, 5, generator=stream)
            images = self._augmented(pixels, everything[draw.first : draw.first + len(examples)])
        return {"images": images, "labels": self.labels[examples], "ids": self.ids[examples]}

    def _centre(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        room = pixels.shape[1] - self.image_size
        # Rounded as torchvision's CenterCrop does.
        first = round(room / 2)
        return pixels[:, first : first + self.image_size, first : first + self.image_size]

    def _augmented(self, pixels: NDArray[np.uint8], draws: Tensor) -> Tensor:
        """Return float32 [B, 3, H, W], of pixels uint8 [B, edge, edge, C] and draws from [0, 1), [B, 5]."""
        flips = (draws[:, 0] < 0.5) & self.augmentation.flip
        if self.augmentation.least_area is not None:
            grid = self._grid(draws, flips, self.augmentation.least_area)
            seen = self._normalised(pixels)
            cropped = F.grid_sample(seen, grid, padding_mode="border", align_corners=False)
            return cropped.contiguous(memory_format=torch.channels_last)
        return self._normalised(self._shifted(self._centre(pixels), draws[:, 1:3].numpy(), flips.numpy()))

    def _shifted(
        self, pixels: NDArray[np.uint8], draws: NDArray[np.float32], flips: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        pad, edge = self.augmentation.pad_pixels, self.image_size
        padded = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        shifted = np.empty_like(pixels)
        corners = np.floor(draws * (2 * pad + 1)).astype(int).tolist()
        for place, ((row, column), flip) in enumerate(zip(corners, flips.tolist(), strict=True)):
            cut = padded[place, row : row + edge, column : column + edge]
            shifted[place] = cut[:, ::-1] if flip else cut
        return shifted

    def _normalised(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return float32 [B, 3, H, W], colours last in memory, of uint8 [B, H, W, C]."""
        images = torch.from_numpy(pixels).to(torch.float32).sub_(self._mean).div_(self._std)
        return images.expand(-1, -1, -1, 3).contiguous().permute(0, 3, 1, 2)

    def _grid(self, draws: Tensor, flips: Tensor, least_area: float) -> Tensor:
        """Return where to sample each pixel, [B, H, W, 2]."""
        _, area, ratio, across, down = draws.t()[:, :, None, None]
        area = least_area + area * (1 - least_area)
        root = _RATIO ** (ratio - 0.5)  # of width over height, which lies between 1 / _RATIO and _RATIO
        width, height = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
        mirrored = torch.where(flips[:, None, None], -self._x, self._x)
        x = mirrored * width + (2 * across - 1) * (1 - width)
        y = self._y * height + (2 * down - 1) * (1 - height)
        shape = (len(draws), self.image_size, self.image_size)
        return torch.stack((x.expand(shape), y.expand(shape)), dim=-1)
