"""Image classification sets of the Hugging Face hub, in parquet files: from the hub, or from a copy of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import HeldOutFraction, checked
from autolrs_recipes.data import hub
from autolrs_recipes.data.images.decoding import Background, decode, fault_in_words
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.stored.images import StoredImages
from autolrs_recipes.data.images.stored.labels import Labels, label_column
from autolrs_recipes.data.images.stored.store import SourceImage, SourcePart, write_store

if TYPE_CHECKING:
    from datasets import Dataset

_EXAMPLE = "uoft-cs/cifar10 (the hub's; downloads about 140 MB)"
_ROWS = 256
_Column = Annotated[str, Field(min_length=1)]


@checked
@dataclass(kw_only=True, eq=False)
class HubImages(StoredImages):
    """Rows of an image and a label, in one split or two.

    Args:
        name: name on the hub, or a folder with a copy.
        config: the hub's configuration (subset); None: its only one.
        train_split: trained on, and split off for choosing LRs.
        target_split: decides targets; None: images of the training split are held out.
        image_column: holds the images; None: the only column of images.
        label_column: holds the labels: the hub's class labels, whole numbers, or names; None: the only column of class
            labels, or the one called label.
        background: what shows through transparent pixels.
        target_fraction: share of each class of the training split that decides targets, without a `target_split`.
    """

    name: Annotated[str | None, FileSetting(or_name=True)]
    config: str | None
    train_split: _Column
    target_split: _Column | None
    image_column: _Column | None
    label_column: _Column | None
    background: Background
    target_fraction: HeldOutFraction

    kind = "hub_images"

    def target_share(self) -> float:
        """Return what decides targets without a split of its own."""
        return self.target_fraction

    def source(self) -> str:
        """Say where the images are from, in words."""
        return hub.described(self.name, self.config)

    def source_problems(self) -> list[str]:
        """Return every problem with the settings; neither network nor rows are asked."""
        return [
            *hub.problems("data.name", self.name, _EXAMPLE),
            *hub.split_problems(self.train_split, "data.target_split", self.target_split, "images"),
        ]

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return the content of the splits, and what is read of it; loads the data."""
        report("loading data.name", 0, None)
        return {
            "content": hub.contents(self._splits.values(), report, self.cache_dir),
            "columns": [self._image_column, self._labels.column],
            "classes": list(self._labels.classes),
            "parts": list(self._splits),
            "background": self.background,
        }

    def write(self, folder: Path, edge: int, report: Report) -> None:
        """Decode every image."""
        parts = {part: SourcePart(self._images(part), len(rows)) for part, rows in self._splits.items()}
        write_store(folder, parts, self._labels.classes, edge, report, grey=False)

    def preprocessing(self) -> Preprocessing:
        """Return how held-out images are made ready, and what the labels mean."""
        made = super().preprocessing()
        return Preprocessing(
            made.classes, made.crop_size, made.resize_size, made.mean, made.std, self.background
        )

    def _images(self, part: str) -> Iterator[SourceImage]:
        import datasets

        rows, split = self._splits[part], self._names[part]
        undecoded = rows.cast_column(self._image_column, datasets.Image(decode=False))
        chosen = undecoded.select_columns([self._image_column, self._labels.column])
        number = 0
        for batch in chosen.iter(batch_size=_ROWS):
            for cell, label in zip(batch[self._image_column], batch[self._labels.column], strict=True):
                where = f"row {number:,} of the split {split} of data.name={self.name}"
                content = _content(cell, where)
                try:
                    image = decode(io.BytesIO(content), self.background)
                except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
                    raise ConfigError(
                        f"Every image must be readable, but that in {where} is not: {fault_in_words(error)}. "
                        "Download the data again, or set data.name to a copy without it."
                    ) from error
                yield SourceImage(image, self._labels.index(label, where), content)
                number += 1

    @cached_property
    def _splits(self) -> dict[str, Dataset]:
        """The rows of each part, by its name in `PARTS`."""
        assert self.name is not None
        found = hub.load_splits("data.name", self.name, self.config)
        keys = {"train": "data.train_split", "held_out": "data.target_split"}
        parts = {
            part: hub.chosen_split(found, keys[part], name, self.name) for part, name in self._names.items()
        }
        empty = [self._names[part] for part, rows in parts.items() if not len(rows)]
        if empty:
            raise ConfigError(
                f"Every split must hold images, but {' and '.join(empty)} of data.name={self.name} has none. Set "
                "data.train_split or data.target_split."
            )
        return parts

    @property
    def _names(self) -> dict[str, str]:
        """The split of each part."""
        held_out = {} if self.target_split is None else {"held_out": self.target_split}
        return {"train": self.train_split, **held_out}

    @cached_property
    def _image_column(self) -> str:
        columns = self._splits["train"].features
        images = [name for name, feature in columns.items() if _holds_images(feature)]
        if self.image_column in images or (self.image_column is None and len(images) == 1):
            return self.image_column or images[0]
        given = f"data.image_column={self.image_column}" if self.image_column else "no data.image_column"
        raise ConfigError(
            f"`data.image_column` must be a column of images of data.name={self.name}, but got {given}, and its "
            f"columns of images are: {', '.join(images) or 'none'} (all: {', '.join(columns)}). Set data.image_column "
            "or data.name."
        )

    @cached_property
    def _labels(self) -> Labels:
        column = label_column(self._splits["train"], self.label_column, f"data.name={self.name}")
        for part, rows in self._splits.items():
            for wanted in (column, self._image_column):
                if wanted not in rows.column_names:
                    raise ConfigError(
                        f"Both splits must have the same columns, but {self._names[part]} of data.name={self.name} has "
                        f"no {wanted} (it has {', '.join(rows.column_names)}). Set data.target_split or the column."
                    )
            names = [getattr(each.features[column], "names", None) for each in (self._splits["train"], rows)]
            if names[0] != names[1]:
                raise ConfigError(
                    f"Both splits must number their classes alike, but {self.train_split} and {self._names[part]} of "
                    f"data.name={self.name} have other class names in {column}, or in another order. Give one the "
                    "names of the other (cast_column of the datasets library)."
                )
        return Labels.of(self._splits["train"], column)


def _holds_images(feature: Any) -> bool:
    """Tell whether a column holds images: as the library marks them, or as bytes, alone or beside a path."""
    import datasets

    if isinstance(feature, dict):
        return set(feature) == {"bytes", "path"}
    return isinstance(feature, datasets.Image) or getattr(feature, "dtype", "") in ("binary", "large_binary")


def _content(cell: Any, where: str) -> bytes:
    """Return the bytes of an image's file; a file beside the data, which a row may name, is not followed."""
    content = cell.get("bytes") if isinstance(cell, dict) else None
    if isinstance(content, bytes) and content:
        return content
    raise ConfigError(
        f"Every row must hold its image, but {where} does not. Set data.name to data in parquet files that hold the "
        "images themselves."
    )
