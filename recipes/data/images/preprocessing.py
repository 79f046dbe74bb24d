"""How images become what a network sees, and what its outputs mean: kept with a run, and exported with its model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "preprocessing.json"


@dataclass(frozen=True)
class Preprocessing:
    """Of held-out images, in torchvision's words.

    Args:
        classes: names of the labels, in their order.
        crop_size: edge of the central square that the network sees, in pixels.
        resize_size: what the shorter edge becomes before; for two numbers, both edges.
        mean: per colour, of pixels in [0, 1].
        std: per colour.
        background: what shows through transparent pixels.
    """

    classes: tuple[str, ...]
    crop_size: int | None = None
    resize_size: int | tuple[int, int] | None = None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    background: str = "white"

    def write(self, folder: Path) -> Path:
        """Write `FILE`; return its path."""
        names = dict(enumerate(self.classes))
        given = {key: value for key, value in asdict(self).items() if key != "classes"}
        content = {
            **given,
            "interpolation": "bilinear",
            "id2label": names,
            "label2id": {name: i for i, name in names.items()},
        }
        path = folder / FILE
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path) -> Preprocessing:
        """Read what `write` wrote.

        Raises:
            OSError, ValueError, KeyError, TypeError: if it is not that.
        """
        content: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        names = {int(i): str(name) for i, name in content["id2label"].items()}
        classes = tuple(names[i] for i in range(len(names)))
        return cls(
            classes,
            **{key: content[key] for key in ("crop_size", "resize_size", "mean", "std", "background")},
        )

    def pixels(self, images: Tensor) -> NDArray[np.uint8]:
        """Return normalised images, float32 [B, 3, H, W], as a person sees them: uint8 [B, H, W, 3].

        Where it is not known how they were normalised, the darkest value becomes black, the brightest white.
        """
        seen = images.permute(0, 2, 3, 1).double()
        if len(self.mean):
            seen = seen * torch.tensor(self.std) + torch.tensor(self.mean)
        else:
            seen = (seen - seen.min()) / (seen.max() - seen.min()).clamp(min=1e-9)
        shown: NDArray[np.uint8] = seen.clamp(0, 1).mul(255).round().byte().numpy()
        return shown

    def code(self, path: Path) -> str:
        """Return code that makes `preprocess`, from an RGB image to what the model takes, and `names`."""
        if self.crop_size is None:
            return ""
        return _CODE.format(path=str(path))


@runtime_checkable
class Preprocessed(Protocol):
    """Image data that can say how images are made ready."""

    def preprocessing(self) -> Preprocessing:
        """Return how."""


_CODE = """
import json, torch
from torchvision.transforms import v2
with open({path!r}, encoding="utf-8") as file:
    settings = json.load(file)
preprocess = v2.Compose([v2.Resize(settings["resize_size"]), v2.CenterCrop(settings["crop_size"]), v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True), v2.Normalize(settings["mean"], settings["std"])])
model.eval()  # model(preprocess(image)[None]) for an RGB image; settings["id2label"] names its outputs"""
