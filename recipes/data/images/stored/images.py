"""What all image data that are kept as bytes share: their slices, their augmentation, and how they are made ready."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import HeldOutFraction, NonNegativeInt, PositiveInt
from autolrs_recipes.checks import named
from autolrs_recipes.data.cache import cache_root, prepared, quiet
from autolrs_recipes.data.images.image_folder_reader import HELD_OUT_RESIZE
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.stored.reader import Augmentation, StoredImagesReader
from autolrs_recipes.data.images.stored.store import PARTS, ImageStore
from autolrs_recipes.data.images.streams import ImageReader, Slice
from autolrs_recipes.data.splits import rank_in_class, taken_per_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Raised when the same images would be kept differently: what was prepared before is then made again.
_FORMAT = 1


@dataclass(kw_only=True, eq=False)
class StoredImages(ABC):
    """Images that come in a training part and, mostly, a held-out one, decoded once into a cache.

    A base class, since Hydra hands settings to one object, and all but reading is the same for every source.

    Args:
        image_size: edge of the square images, in pixels.
        seed: fixes which training images choose LRs (and which decide targets, without a held-out part); no seed of a
            run does.
        choose_fraction: share of each class of the training part that chooses LRs.
        choose_max_examples: upper bound on that slice (but each class gives at least one image).
        target_max_examples: likewise, of the held-out part, which decides targets; None: all of it.
        pad_pixels: training images are shifted by up to so many along each axis; black comes in at the edges.
        flip: mirror half of the training images, left to right.
        least_area: train on crops of at least this share of an image's area, enlarged to `image_size`; None: on whole
            images. Held-out images are then cut out of the middle, as an image folder's are.
        cache_dir: where the images are kept; None: $AUTOLRS_CACHE_DIR, else the user's cache folder.
    """

    image_size: Annotated[int, Field(strict=True, ge=8, le=512)]
    seed: NonNegativeInt
    choose_fraction: HeldOutFraction
    choose_max_examples: PositiveInt
    target_max_examples: PositiveInt | None
    pad_pixels: Annotated[int, Field(strict=True, ge=0, le=64)]
    flip: bool
    least_area: Annotated[float, Field(strict=True, gt=0, le=1)] | None
    cache_dir: Annotated[str | None, FileSetting()]

    kind: ClassVar[str]
    """What the folders of the cache are called."""

    @abstractmethod
    def source(self) -> str:
        """Say where the images are from, in words."""

    @abstractmethod
    def source_problems(self) -> list[str]:
        """Return every problem with the settings and files of the source; no network is asked."""

    @abstractmethod
    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return all that the images depend on, as JSON; cheap, since it is asked for at every start."""

    @abstractmethod
    def write(self, folder: Path, edge: int, report: Report) -> None:
        """Fill `folder` by `write_store`, with squares of `edge` pixels."""

    def target_share(self) -> float:
        """Return the share of each class of the training part that decides targets, where there is no held-out part."""
        return 0.0

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self._store.classes)

    @property
    def sizes(self) -> dict[str, int]:
        """Images per slice."""
        return {name: len(self._members(name)) for name in ("train", "choose", "target")}

    def describe(self) -> str:
        """Say what the data is, in words."""
        total = sum(self.sizes.values())
        return f"{self.source()}, {total:,} images of {self.num_classes:,} classes, {self.image_size} px"

    def problems(self) -> list[str]:
        """Return every problem with settings and source."""
        found = self.source_problems()
        if self.least_area is not None and self.pad_pixels:
            found.append(
                "Either crops or shifts can be trained on, but got "
                f"data.least_area={self.least_area} and data.pad_pixels={self.pad_pixels}. Set data.pad_pixels=0 or "
                "data.least_area=null."
            )
        return found

    def prepare(self, report: Report) -> None:
        """Decode the images, unless it was done before; and see that the slices leave something to train on.

        Raises:
            ConfigError: if the images cannot be used.
        """
        if "_store" not in self.__dict__:
            self.__dict__["_store"] = ImageStore(self._prepared(report))
        self._require_rest()

    def verify(self, report: Report) -> str:
        """Look for damage in every byte of the images, and decode them again if need be; say what was looked at."""
        self.__dict__["_store"] = ImageStore(self._prepared(report, full=True))
        return f"every byte of the prepared data is sound: {self._store.folder}"

    def fingerprint(self) -> str:
        """Return a hash of the images' content at their source, labels, classes and split."""
        digest = hashlib.sha256("\0".join(self._store.classes).encode())
        for part in filter(self._store.has, PARTS):
            digest.update(self._store.keys(part).tobytes())
            digest.update(self._store.labels(part).tobytes())
        digest.update(self._slice_of.tobytes())
        digest.update(self._members("target").tobytes())
        return digest.hexdigest()[:32]

    def preprocessing(self) -> Preprocessing:
        """Return how held-out images are made ready, and what the labels mean."""
        store = self._store
        mean, std = (each * (3 // len(each)) for each in (store.mean, store.std))
        return Preprocessing(store.classes, self.image_size, store.edge, mean, std)

    def reader(self, which: Slice) -> ImageReader:
        """Open a slice."""
        part = "held_out" if which == "target" and self._store.has("held_out") else "train"
        places = self._members(which)
        first_id = len(self._slice_of) if part == "held_out" else 0  # ids differ between the parts
        return StoredImagesReader(
            store=self._store,
            part=part,
            places=places,
            labels=torch.from_numpy(self._store.labels(part)[places]),
            ids=torch.from_numpy(places + first_id),
            image_size=self.image_size,
            augmentation=Augmentation(self.pad_pixels, self.flip, self.least_area),
        )

    def _members(self, which: str) -> NDArray[np.int64]:
        """Return the places [N] of a slice's images in the part that it lies in."""
        if which == "target" and self._store.has("held_out"):
            return self._held_out
        return np.flatnonzero(self._slice_of == ("train", "choose", "target").index(which))

    @cached_property
    def _store(self) -> ImageStore:
        return ImageStore(self._prepared(quiet))

    @cached_property
    def _held_out(self) -> NDArray[np.int64]:
        """Places [N] of the images of the held-out part that decide targets."""
        labels = self._store.labels("held_out")
        if self.target_max_examples is None:
            return np.arange(len(labels))
        rank = rank_in_class(_seeded(self._store.keys("held_out"), self.seed), labels)
        class_sizes = np.bincount(labels, minlength=self.num_classes).astype(np.int64)
        share = min(1.0, self.target_max_examples / max(1, len(labels)))
        return np.flatnonzero(rank < taken_per_class(class_sizes, share)[labels])

    @cached_property
    def _slice_of(self) -> NDArray[np.uint8]:
        """Which slice each image of the training part lies in, [N]: 0 train, 1 choose, 2 target."""
        labels = self._store.labels("train")
        rank = rank_in_class(_seeded(self._store.keys("train"), self.seed), labels)
        class_sizes = np.bincount(labels, minlength=self.num_classes).astype(np.int64)
        bound = min(self.choose_fraction, self.choose_max_examples / max(1, len(labels)))
        target_end = np.zeros_like(labels)
        if not self._store.has("held_out"):
            target_end = taken_per_class(class_sizes, self.target_share())[labels]
        choose_end = target_end + taken_per_class(class_sizes, bound)[labels]
        return np.select([rank < target_end, rank < choose_end], [2, 1], 0).astype(np.uint8)

    def _require_rest(self) -> None:
        labels = self._store.labels("train")
        present = np.bincount(labels, minlength=self.num_classes)
        absent = [self._store.classes[i] for i in np.flatnonzero(present == 0)]
        if absent:
            raise ConfigError(
                f"Every class must have training images, but {len(absent):,} of {self.num_classes:,} have none: "
                f"{named(absent)}. Whole numbers count from 0; leave out class names that no image has."
            )
        left = np.bincount(labels[self._slice_of == 0], minlength=self.num_classes)
        eaten = [self._store.classes[i] for i in np.flatnonzero(left == 0)]
        if eaten:
            raise ConfigError(
                f"The slices held out of the training images must leave some of every class, but {len(eaten):,} of "
                f"{self.num_classes:,} have none left: {named(eaten)}. Lower data.choose_fraction or "
                "data.target_fraction, or give more images (each slice takes at least one of each class)."
            )

    def _prepared(self, report: Report, *, full: bool = False) -> Path:
        # Crops are cut out of somewhat larger images, as an image folder's held-out images are.
        edge = self.image_size if self.least_area is None else round(self.image_size * HELD_OUT_RESIZE)
        ingredients = {
            "format": _FORMAT,
            "source": self.ingredients(report),
            "edge": edge,
            "versions": {name: version(name) for name in ("pillow", "torchvision")},
        }

        def make(folder: Path) -> None:
            self.write(folder, edge, report)

        return prepared(cache_root(self.cache_dir), self.kind, ingredients, make, report, full=full)


def _seeded(keys: NDArray[np.uint8], seed: int) -> NDArray[np.uint64]:
    """Return a hash of each content, [N], that the seed decides about; equal contents keep equal ones."""
    salt = str(seed).encode()
    hashes = [hashlib.blake2b(bytes(key), digest_size=8, key=salt).digest() for key in keys]
    return np.frombuffer(b"".join(hashes), dtype=np.uint64)
