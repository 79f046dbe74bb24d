"""Digits and letters, drawn from the fonts that come with matplotlib: nothing is downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field
from safetensors.numpy import load_file, save_file

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.values import Fraction, NonNegativeInt, checked
from autolrs_recipes.data.cache import cache_root, content_hash, prepared, quiet
from autolrs_recipes.data.images.glyphs.draw import Look
from autolrs_recipes.data.images.glyphs.fonts import CHARACTERS, FONTS, SLICES, font_files, font_problems
from autolrs_recipes.data.images.glyphs.make import draw_slice
from autolrs_recipes.data.images.glyphs.reader import MEAN, STD, GlyphReader
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.streams import ImageReader, Slice

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAKERS = ("distance", "draw", "fonts", "make")
_OneOfEach = Annotated[int, Field(strict=True, ge=len(CHARACTERS))]


@checked
@dataclass(kw_only=True, eq=False)
class Glyphs:
    """The digits and both cases of the Latin letters, each image drawn with a look of its own.

    Every slice has each character as often as any other, as nearly as its size allows.

    Args:
        image_size: edge of the square images, in pixels.
        seed: fixes every image; no seed of a run does.
        train_images: in the slice that is trained on.
        choose_images: in the slice that chooses LRs.
        target_images: in the slice that decides targets.
        unseen_forms: whether held-out letter forms are not trained on (see `letter_forms`), so that what is learnt must
            carry over from one font to another; else they are of the same fonts, drawn anew.
        rotate_degrees: see `Look`, as for the seven that follow.
        shear: see there.
        zoom_fraction: see there.
        shift_fraction: see there.
        weight_ems: see there.
        least_contrast: see there.
        shade: see there.
        noise: see there.
        augment_pixels: training images are shifted by up to so many pixels along each axis, anew in every epoch.
        cache_dir: where the images are kept; None: $AUTOLRS_CACHE_DIR, else the user's cache folder.
    """

    image_size: Annotated[int, Field(strict=True, ge=12, le=64)]
    seed: NonNegativeInt
    train_images: _OneOfEach
    choose_images: _OneOfEach
    target_images: _OneOfEach
    unseen_forms: bool
    rotate_degrees: Annotated[float, Field(strict=True, ge=0, le=45)]
    shear: Fraction
    zoom_fraction: Annotated[float, Field(strict=True, ge=0, le=0.5)]
    shift_fraction: Annotated[float, Field(strict=True, ge=0, le=0.5)]
    weight_ems: Annotated[float, Field(strict=True, ge=0, le=0.1)]
    least_contrast: Annotated[float, Field(strict=True, ge=0.01, le=1)]
    shade: Fraction
    noise: Fraction
    augment_pixels: Annotated[int, Field(strict=True, ge=0, le=8)]
    cache_dir: Annotated[str | None, FileSetting()] = None

    bundled = True  # nothing is to be given or loaded: it comes with what is installed

    @property
    def num_classes(self) -> int:
        """Ten digits and twice 26 letters."""
        return len(CHARACTERS)

    @property
    def sizes(self) -> dict[str, int]:
        """Images per slice."""
        return {"train": self.train_images, "choose": self.choose_images, "target": self.target_images}

    @property
    def look(self) -> Look:
        """How far images differ."""
        return Look(
            image_size=self.image_size,
            margin=self.augment_pixels,
            rotate_degrees=self.rotate_degrees,
            shear=self.shear,
            zoom_fraction=self.zoom_fraction,
            shift_fraction=self.shift_fraction,
            weight_ems=self.weight_ems,
            least_contrast=self.least_contrast,
            shade=self.shade,
            noise=self.noise,
        )

    def describe(self) -> str:
        """Say what the data is, in words."""
        return (
            f"{self.num_classes} digits and letters in {len(FONTS)} fonts of matplotlib {version('matplotlib')}, "
            f"{sum(self.sizes.values()):,} drawn images of {self.image_size} px"
            + ("; held-out letter forms are unseen" if self.unseen_forms else "")
        )

    def problems(self) -> list[str]:
        """Return every font that is missing, in one problem; what is in them shows when they are drawn."""
        return font_problems()

    def prepare(self, report: Report) -> None:
        """Draw the images, unless it was done before.

        Raises:
            ConfigError: if a font cannot be used.
        """
        if "_folder" not in self.__dict__:
            self.__dict__["_folder"] = self._prepared(report)

    def verify(self, report: Report) -> str:
        """Look for damage in every byte of the images, and draw them again if need be; say what was looked at."""
        self.__dict__["_folder"] = self._prepared(report, full=True)
        return f"every byte of the prepared data is sound: {self._folder}"

    def fingerprint(self) -> str:
        """Return a hash of pixels, labels and split."""
        digest = hashlib.sha256()
        for which in SLICES:
            for name, array in sorted(self._arrays(which).items()):
                digest.update(f"{which}/{name}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:32]

    def preprocessing(self) -> Preprocessing:
        """Return how characters are made ready."""
        edges = (self.image_size, self.image_size)
        return Preprocessing(tuple(CHARACTERS), self.image_size, edges, (MEAN,) * 3, (STD,) * 3)

    def reader(self, which: Slice) -> ImageReader:
        """Open a slice."""
        arrays = self._arrays(which)
        first = sum(self.sizes[name] for name in SLICES[: SLICES.index(which)])
        return GlyphReader(
            pixels=torch.from_numpy(arrays["pixels"]),
            labels=torch.from_numpy(arrays["labels"]),
            ids=torch.arange(first, first + self.sizes[which]),
            image_size=self.image_size,
        )

    def _arrays(self, which: Slice) -> dict[str, NDArray[np.generic]]:
        """Return "pixels", uint8 [N, canvas, canvas], "labels", int64 [N], and "fonts", int64 [N], of a slice."""
        return load_file(self._folder / f"{which}.safetensors")

    @cached_property
    def _folder(self) -> Path:
        return self._prepared(quiet)

    def _prepared(self, report: Report, *, full: bool = False) -> Path:
        here = Path(__file__)
        ingredients = {
            "look": asdict(self.look),
            "seed": self.seed,
            "sizes": self.sizes,
            "unseen_forms": self.unseen_forms,
            "fonts": content_hash(font_files()),
            "code": content_hash(here.with_name(f"{name}.py") for name in _MAKERS),
            "versions": {name: version(name) for name in ("matplotlib", "numpy")},
        }

        def make(folder: Path) -> None:
            for which in SLICES:
                arrays = draw_slice(
                    which, self.sizes[which], self.look, self.seed, report, unseen_forms=self.unseen_forms
                )
                save_file(arrays, folder / f"{which}.safetensors")

        return prepared(cache_root(self.cache_dir), "glyphs", ingredients, make, report, full=full)
