"""Fashion-MNIST, and whatever else comes in four idx files: from a folder, without network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from PIL import Image

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import checked
from autolrs_recipes.checks import named
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.images.stored import idx
from autolrs_recipes.data.images.stored.images import StoredImages
from autolrs_recipes.data.images.stored.store import SourceImage, SourcePart, require_labels, write_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILES = {"train": "train", "held_out": "t10k"}
"""Part -> what its files' names begin with."""
_IMAGES, _LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_LAYOUT = (
    "Point data.root at a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, each plain or with .gz. Debian and Ubuntu: apt install dataset-fashion-mnist, and "
    "data.root=/usr/share/datasets/fashion-mnist."
)


@checked
@dataclass(kw_only=True, eq=False)
class FashionMNIST(StoredImages):
    """Grey images in idx files; the t10k files decide targets, the slice that chooses LRs is held out of the others.

    Args:
        root: folder with the four files.
        classes: names of the labels, in their order.
    """

    root: Annotated[str | None, FileSetting()]
    classes: Sequence[str]

    kind = "idx_images"

    def source(self) -> str:
        """Say where the images are from, in words."""
        return f"idx files of {self.root}"

    def source_problems(self) -> list[str]:
        """Return every problem with the files; of their contents, only the heads are read."""
        if not self.root:
            return [f"`data.root` must be given with data=fashion_mnist. {_LAYOUT}"]
        if not self._root.is_dir():
            given = "is not a folder" if self._root.exists() else "does not exist"
            return [f"`data.root` must be a folder, but data.root={self.root} {given}. {_LAYOUT}"]
        names = [f"{start}-{name}" for start in _FILES.values() for name in (_IMAGES, _LABELS)]
        missing = [name for name in names if idx.find(self._root, name) is None]
        if missing:
            return [
                f"`data.root` must hold four idx files, but {self._root} lacks {named(missing)}. {_LAYOUT}"
            ]
        return [problem for part in _FILES for problem in self._head_problems(part)]

    def _head_problems(self, part: str) -> list[str]:
        """Return what is wrong with the two files of a part, as far as their heads tell."""
        images, labels = self._paths(part)
        found: list[str] = []
        shapes: list[tuple[int, ...]] = []
        for path, axes in ((images, 3), (labels, 1)):
            try:
                shapes.append(idx.shape_of(path, axes))
            except ConfigError as error:
                found += error.problems
        if found:
            return found
        if shapes[0][0] != shapes[1][0]:
            found.append(
                f"Every image must have a label, but {images.name} has {shapes[0][0]:,} images and {labels.name} has "
                f"{shapes[1][0]:,} labels (data.root={self.root}). Copy both again."
            )
        if not all(shapes[0]):
            found.append(
                f"`data.root` must hold images, but {images} has none: shape {list(shapes[0])}. Set data.root."
            )
        return found

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return the content of the files, and what their labels mean."""
        paths = [path for part in _FILES for path in self._paths(part)]
        return {
            "files": content_hash(paths, report, cache_root(self.cache_dir)),
            "classes": list(self.classes),
        }

    def write(self, folder: Path, edge: int, report: Report) -> None:
        """Read the files."""
        parts = {part: self._part(part) for part in _FILES}
        write_store(folder, parts, self.classes, edge, report, grey=True)

    def _part(self, part: str) -> SourcePart:
        images, labels = (idx.read(path, axes) for path, axes in zip(self._paths(part), (3, 1), strict=True))
        where = f"{self._paths(part)[1]}"
        require_labels(labels.astype(np.int64), len(self.classes), where, self.classes)
        return SourcePart(_images(images, labels), len(labels))

    def _paths(self, part: str) -> tuple[Path, Path]:
        found = [idx.find(self._root, f"{_FILES[part]}-{name}") for name in (_IMAGES, _LABELS)]
        images, labels = found
        if images is None or labels is None:
            raise ConfigError(self.source_problems())
        return images, labels

    @property
    def _root(self) -> Path:
        return Path(str(self.root)).expanduser().absolute()


def _images(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Iterator[SourceImage]:
    for image, label in zip(pixels, labels.tolist(), strict=True):
        yield SourceImage(Image.fromarray(image), label, image.tobytes())
