"""Image files in ImageNet layout: train/<class>/*.jpg and val/<class>/*.jpg."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import HeldOutFraction, NonNegativeInt, PositiveInt, checked
from autolrs_recipes.checks import named
from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.images.decoding import Background, suffixes
from autolrs_recipes.data.images.image_contents import ImageContents, path_keys
from autolrs_recipes.data.images.image_folder_checks import LAYOUT, image_problems, layout_problems
from autolrs_recipes.data.images.image_folder_reader import (
    HELD_OUT_RESIZE,
    MEAN,
    STD,
    ImageFolderReader,
    OnError,
)
from autolrs_recipes.data.images.listing import Listing, left_out_in_words, list_images
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.streams import ImageReader, Slice
from autolrs_recipes.data.splits import rank_in_class, taken_per_class

if TYPE_CHECKING:
    from numpy.typing import NDArray


@checked
@dataclass(kw_only=True, eq=False)
class ImageFolder:
    """Images in ImageNet layout; the slice that chooses LRs is held out of train/, and val/ decides targets.

    Args:
        root: folder that holds train/ and val/.
        image_size: edge of the square crops, in pixels.
        choose_fraction: share of each class of train/ that chooses LRs.
        choose_max_examples: upper bound on that slice (but each class gives at least one image).
        check_images: how many images `problems` decodes, spread evenly over all; 0: none.
        background: what shows through transparent pixels.
        on_error: what happens when an image cannot be read: "fail" ends the run; "replace" reads the next readable
            image of its class and slice instead, and says so once.
    """

    root: Annotated[str | None, FileSetting()]
    image_size: PositiveInt
    choose_fraction: HeldOutFraction
    choose_max_examples: PositiveInt
    check_images: NonNegativeInt
    background: Background
    on_error: OnError

    @property
    def num_classes(self) -> int:
        """Number of class folders."""
        return len(self._train.classes)

    @property
    def sizes(self) -> dict[str, int]:
        """Images per slice."""
        chosen = int(self._is_choose.sum())
        return {"train": len(self._train.paths) - chosen, "choose": chosen, "target": len(self._val.paths)}

    def describe(self) -> str:
        """Say what the data is, in words."""
        train, val = len(self._train.paths), len(self._val.paths)
        left_out = left_out_in_words([self._train, self._val])
        return (
            f"image folder {self.root}, {train:,} images in train/ and {val:,} in val/ "
            f"of {self.num_classes:,} classes, cropped to {self.image_size} px"
            + (f"; left out: {left_out}" if left_out else "")
            + f"; {self._contents.describe()}"
        )

    def problems(self) -> list[str]:
        """Return every problem with the files and the split."""
        return self._file_problems() or self._split_problems()

    def _file_problems(self) -> list[str]:
        """Return what is wrong with the folder and its files; listing it is the first thing that can fail."""
        if not self.root:
            return [f"`data.root` must be given with data=image_folder. {LAYOUT}"]
        if not self._root.is_dir():
            given = "is not a folder" if self._root.exists() else "does not exist"
            return [f"`data.root` must be a folder, but data.root={self.root} {given}. {LAYOUT}"]
        try:
            found = layout_problems(self._root, self._train, self._val)
        except OSError as error:
            return [f"`data.root` must be readable, but: {error}. Change its permissions or set data.root."]
        if self.on_error == "replace":
            return found
        return found + image_problems(self._root, [self._train, self._val], self.check_images)

    def _split_problems(self) -> list[str]:
        left = self._train.class_sizes() - self._choose_sizes()
        eaten = [self._train.classes[i] for i in np.flatnonzero(left <= 0)]
        if not eaten:
            return []
        return [
            "The slice that chooses LRs must leave training images of every class, but with "
            f"data.choose_fraction={self.choose_fraction} it takes all of {len(eaten):,}: {named(eaten)}. "
            "Lower data.choose_fraction or add images (it takes at least one of each class)."
        ]

    def prepare(self, report: Report) -> None:
        """Hash what the fingerprint covers, unless it was hashed before."""
        if "_content_digest" not in self.__dict__:
            self.__dict__["_content_digest"] = self._contents.digest(report)

    def verify(self, report: Report) -> str:
        """Decode and hash every image; say what was found.

        Raises:
            ConfigError: naming images that cannot be read, or that have changed though their files' size and time say
                that they have not.
        """
        total = len(self._contents.paths)
        report("decoding images", 0, None)
        problems = image_problems(self._root, [self._train, self._val], total)
        found = self._contents.everything(report)
        if found.rotten:
            problems.append(
                f"A file's content must not change while its size and time stay, but {len(found.rotten):,} in "
                f"data.root={self.root} did since they were last read: {named(found.rotten)}. Restore them."
            )
        if problems:
            raise ConfigError(problems)
        contents = hashlib.sha256(found.digests.tobytes()).hexdigest()[:32]
        return f"all {total:,} images were decoded and hashed: contents {contents}"

    def fingerprint(self) -> str:
        """Return a hash of names, sizes, contents (see `ImageContents`) and split."""
        digest = hashlib.sha256(self._content_digest)
        digest.update(np.packbits(self._is_choose).tobytes())
        return digest.hexdigest()[:32]

    def preprocessing(self) -> Preprocessing:
        """Return how held-out images are made ready, and what the labels mean."""
        resized = round(self.image_size * HELD_OUT_RESIZE)
        return Preprocessing(self._train.classes, self.image_size, resized, MEAN, STD, self.background)

    def reader(self, which: Slice) -> ImageReader:
        """Open a slice."""
        listing = self._val if which == "target" else self._train
        ids = np.arange(len(listing.paths))
        if which != "target":
            ids = np.flatnonzero(self._is_choose == (which == "choose"))
        first_id = len(self._train.paths) if which == "target" else 0  # ids differ between train/ and val/
        return ImageFolderReader(
            self._root,
            listing.paths[ids],
            listing.labels[ids],
            ids + first_id,
            image_size=self.image_size,
            background=self.background,
            on_error=self.on_error,
        )

    @property
    def _root(self) -> Path:
        return Path(str(self.root)).expanduser().absolute()

    @cached_property
    def _train(self) -> Listing:
        return list_images(self._root, "train", suffixes())

    @cached_property
    def _val(self) -> Listing:
        return list_images(self._root, "val", suffixes())

    @cached_property
    def _contents(self) -> ImageContents:
        return ImageContents.of(self._root, [self._train, self._val])

    @cached_property
    def _content_digest(self) -> bytes:
        return self._contents.digest(quiet)

    def _choose_sizes(self) -> NDArray[np.int64]:
        """Images of each class that choose LRs, [C]."""
        bound = self.choose_max_examples / max(1, len(self._train.paths))
        return taken_per_class(self._train.class_sizes(), min(self.choose_fraction, bound))

    @cached_property
    def _is_choose(self) -> NDArray[np.bool_]:
        """Which images of train/ choose LRs, [N]: by a hash of the path, never by a seed."""
        rank = rank_in_class(path_keys(self._train.paths), self._train.labels)
        return rank < self._choose_sizes()[self._train.labels]
