"""Reads, augments and normalises the image files of one slice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from autolrs_cli.contracts import Batch
from autolrs_cli.errors import UnusableDataError
from autolrs_cli.seeding import isolated
from autolrs_recipes.data.images.decoding import Background, decode, fault_in_words
from autolrs_recipes.data.images.streams import Draw

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

OnError: TypeAlias = Literal["fail", "replace"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per colour, of ImageNet, as in fb.resnet.torch, which [Goyal2017]_ Sec. 5.1 follows."""
HELD_OUT_RESIZE = 256 / 224
"""Held-out images: the shorter edge becomes 256 px, then the central 224 px are cut out (fb.resnet.torch)."""


class ImageFolderReader:
    """One slice of an image folder.

    Args:
        root: folder the paths are relative to.
        paths: bytes [N].
        labels: int64 [N].
        ids: int64 [N].
        image_size: edge of the crops, in pixels.
        background: what shows through transparent pixels.
        on_error: whether an image that cannot be read ends the run, or the next readable one of its class is taken.
    """

    def __init__(
        self,
        root: Path,
        paths: NDArray[np.bytes_],
        labels: NDArray[np.int64],
        ids: NDArray[np.int64],
        image_size: int,
        background: Background,
        on_error: OnError,
    ) -> None:
        self.root = root
        self.paths = paths
        self.background = background
        self.on_error = on_error
        self._notices: list[str] = []
        self.labels = torch.from_numpy(labels)
        self.ids = torch.from_numpy(ids)
        to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        self.augment = v2.Compose([v2.RandomResizedCrop(image_size), v2.RandomHorizontalFlip(), *to_tensor])
        resize = v2.Resize(round(image_size * HELD_OUT_RESIZE))
        self.centre = v2.Compose([resize, v2.CenterCrop(image_size), *to_tensor])

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, examples: Tensor, draw: Draw | None) -> Batch:
        """Return one batch; see `ImageReader.read`."""
        images = [self._image(example, i, draw) for i, example in enumerate(examples.tolist())]
        return {
            "images": torch.stack(images).contiguous(memory_format=torch.channels_last),
            "labels": self.labels[examples],
            "ids": self.ids[examples],
        }

    def notices(self) -> list[str]:
        """Return which images were replaced since the last call, in words."""
        said, self._notices = self._notices, []
        return said

    def _image(self, example: int, place: int, draw: Draw | None) -> Tensor:
        """Return one image, float32 [3, H, W]."""
        try:
            image = decode(self._path(example), self.background)
        except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
            if self.on_error == "fail":
                raise UnusableDataError(
                    f"Every image must stay readable while training, but {self._path(example)} is not: "
                    f"{fault_in_words(error)}. Restore it and resume, or set data.on_error=replace in a new run."
                ) from error
            image = self._other(example, fault_in_words(error))
        if draw is None:
            pixels: Tensor = self.centre(image)
            return pixels
        # Transforms draw from torch's global stream, which also drives dropout: give them one of their own.
        with isolated(draw.seed, "data", "augmentation", draw.phase, draw.step, draw.first + place):
            augmented: Tensor = self.augment(image)
            return augmented

    def _path(self, example: int) -> Path:
        return self.root / os.fsdecode(self.paths[example])

    def _other(self, example: int, fault: str) -> Image.Image:
        """Return the next readable image of the same class: always the same one, wherever in training it is asked for.

        Raises:
            UnusableDataError: if there is none.
        """
        of_class = torch.nonzero(self.labels == self.labels[example])[:, 0].tolist()
        at = of_class.index(example)
        for other in (*of_class[at + 1 :], *of_class[:at]):
            try:
                image = decode(self._path(other), self.background)
            except Exception:  # noqa: S112 - it is named when it is its turn
                continue
            names = (os.fsdecode(self.paths[i]) for i in (example, other))
            self._notices.append(
                "the image {} cannot be read ({fault}): {} stands in".format(*names, fault=fault)
            )
            return image
        raise UnusableDataError(
            f"An image that cannot be read is replaced by one of its class, but {self._path(example)} ({fault}) is one "
            f"of {len(of_class):,} that all cannot. Restore them and resume."
        )
