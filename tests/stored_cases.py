"""Small idx and parquet files, as the tests of stored images and of the hub's text make them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageColumn
from PIL import Image

from autolrs_recipes.data.images.stored.fashion_mnist import FashionMNIST
from autolrs_recipes.data.images.stored.hub_images import HubImages

CLASSES = ["coat", "dress", "bag"]
CUT: dict[str, Any] = {
    "seed": 0,
    "choose_fraction": 0.2,
    "choose_max_examples": 1000,
    "target_max_examples": None,
    "pad_pixels": 2,
    "flip": True,
    "least_area": None,
}


def idx(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def grey_images(count: int, seed: int = 0, edge: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [count, edge, edge], no two alike, and labels [count] that take turns."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, edge, edge), dtype=np.uint8), np.arange(count) % len(CLASSES)


def write_idx(root: Path, train: int = 60, held_out: int = 15, *, packed: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for seed, (start, count) in enumerate((("train", train), ("t10k", held_out))):
        for name, array in zip(
            ("images-idx3-ubyte", "labels-idx1-ubyte"), grey_images(count, seed), strict=True
        ):
            content = idx(array)
            path = root / f"{start}-{name}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)
    return root


def fashion_mnist(
    root: Path | str | None, cache: Path, made: Callable[..., Any] = FashionMNIST, **changes: Any
) -> Any:
    settings = {
        "root": root if root is None else str(root),
        "classes": CLASSES,
        "image_size": 12,
        "cache_dir": str(cache),
        **CUT,
    }
    return made(**{**settings, **changes})


def colour_images(count: int, seed: int = 0, edge: int = 20) -> list[Image.Image]:
    """Images of 20 x 26 pixels, no two alike."""
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (edge, edge + 6, 3), dtype=np.uint8)) for _ in range(count)]


def write_parquet(
    root: Path,
    sizes: dict[str, int] | None = None,
    *,
    image: str = "picture",
    label: str | None = "kind",
    labels: Any = None,
    extra: dict[str, Any] | None = None,
    held_out_classes: list[str] | None = None,
) -> Path:
    """A folder as a repository of the hub has it: data/<split>-00000-of-00001.parquet."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate((sizes or {"train": 60, "test": 15}).items()):
        columns: dict[str, Any] = {image: colour_images(count, seed)}
        features: dict[str, Any] = {image: ImageColumn()}
        if label is not None:
            names = held_out_classes if held_out_classes and split == "test" else CLASSES
            kind = ClassLabel(names=names) if labels is None else Value(labels)
            of = [i % len(CLASSES) for i in range(count)]
            columns[label] = [CLASSES[i] for i in of] if labels == "string" else of
            features[label] = kind
        for name, value in (extra or {}).items():
            columns[name], features[name] = [value] * count, Value("string")
        rows = Dataset.from_dict(columns, features=Features(features))
        rows.to_parquet(str(root / "data" / f"{split}-00000-of-00001.parquet"))
    return root


def hub_images(
    name: Path | str | None, cache: Path, made: Callable[..., Any] = HubImages, **changes: Any
) -> Any:
    settings = {
        "name": name if name is None else str(name),
        "config": None,
        "train_split": "train",
        "target_split": "test",
        "image_column": None,
        "label_column": None,
        "background": "white",
        "target_fraction": 0.2,
        "image_size": 16,
        "cache_dir": str(cache),
        **CUT,
    }
    return made(**{**settings, **changes})


@pytest.fixture
def hub_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the datasets library reads from parquet files goes where the test's other files are."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub_cache"))
