"""Reads drawn characters: a batch is one look-up in an array of bytes, shifted at random when it is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autolrs_cli.contracts import Batch
from autolrs_cli.seeding import generator
from autolrs_recipes.data.images.streams import Draw

MEAN, STD = 0.5, 0.35
"""Of pixels in [0, 1], measured at the settings of configs/data/glyphs.yaml and rounded to two digits."""


@dataclass(eq=False)
class GlyphReader:
    """One slice of the drawn characters.

    Args:
        pixels: uint8 [N, canvas, canvas], where canvas - image_size is twice the largest shift.
        labels: int64 [N].
        ids: int64 [N].
        image_size: edge of the images that are returned, in pixels.
    """

    pixels: Tensor
    labels: Tensor
    ids: Tensor
    image_size: int

    def __post_init__(self) -> None:
        self._canvas = self.pixels.shape[1]
        self._room = self._canvas - self.image_size
        edge = torch.arange(self.image_size)
        self._window = (edge[:, None] * self._canvas + edge).view(1, -1)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, examples: Tensor, draw: Draw | None) -> Batch:
        """Return one batch; see `ImageReader.read`."""
        row, column = self._corners(draw, len(examples))
        first = examples * self._canvas**2 + row * self._canvas + column
        places = (first[:, None] + self._window).view(-1)
        grey = self.pixels.view(-1).index_select(0, places).to(torch.float32)
        grey = grey.sub_(255 * MEAN).div_(255 * STD).view(-1, self.image_size, self.image_size, 1)
        # Colours last: so they lie in memory as channels_last wants them.
        images = grey.expand(-1, -1, -1, 3).contiguous().permute(0, 3, 1, 2)
        return {
            "images": images,
            "labels": self.labels[examples],
            "ids": self.ids[examples],
        }

    def _corners(self, draw: Draw | None, count: int) -> Tensor:
        """Return row and column where each image begins in its canvas, int64 [2, count]; in the middle if held out."""
        if draw is None:
            return torch.full((2, count), self._room // 2)
        stream = generator(draw.seed, "data", "augmentation", draw.phase, draw.step)
        everything = torch.randint(self._room + 1, (draw.global_batch, 2), generator=stream)
        return everything[draw.first : draw.first + count].t()
