from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from autolrs_recipes.data.images.digits import Digits
from autolrs_recipes.data.images.glyphs import make as make_glyphs
from autolrs_recipes.data.images.glyphs.glyphs import Glyphs
from autolrs_recipes.data.images.image_folder import ImageFolder
from autolrs_recipes.models.resnet50 import TorchvisionResNet50
from autolrs_recipes.models.thin_resnet import ThinResNet
from autolrs_recipes.resnet50 import ResNet50


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def digits() -> Callable[..., Digits]:
    def make(made: Callable[..., Any] = Digits, **changes: Any) -> Any:
        settings = {
            "image_size": 16,
            "choose_fraction": 0.11,
            "target_fraction": 0.17,
            "rotate_degrees": 10,
            "shift_fraction": 0.1,
            "zoom_fraction": 0.1,
        }
        return made(**{**settings, **changes})

    return make


@pytest.fixture(scope="session")
def glyph_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn characters, made once for all tests that ask for the same settings."""
    return tmp_path_factory.mktemp("glyphs")


_FIELDS: dict[tuple[str, int], Any] = {}


@pytest.fixture
def glyphs(glyph_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Glyphs]:
    """Few images; what they are drawn from, which takes seconds and depends on no setting, is made once."""
    read_fonts = make_glyphs._fields

    def remembered(forms: Any, which: str, report: Any) -> Any:
        key = which, len(forms)
        if key not in _FIELDS:
            _FIELDS[key] = read_fonts(forms, which, report)
        return _FIELDS[key]

    monkeypatch.setattr(make_glyphs, "_fields", remembered)

    def make(made: Callable[..., Any] = Glyphs, **changes: Any) -> Any:
        settings = {
            "image_size": 16,
            "seed": 0,
            "train_images": 130,
            "choose_images": 62,
            "target_images": 65,
            "unseen_forms": True,
            "rotate_degrees": 10.0,
            "shear": 0.15,
            "zoom_fraction": 0.1,
            "shift_fraction": 0.06,
            "weight_ems": 0.015,
            "least_contrast": 0.4,
            "shade": 0.2,
            "noise": 0.05,
            "augment_pixels": 1,
            "cache_dir": str(glyph_cache),
        }
        return made(**{**settings, **changes})

    return make


def _write_image(path: Path, seed: int, edge: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (edge, edge + 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def write_image() -> Callable[..., None]:
    return _write_image


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    """Two classes; 10 images each to train on, 4 each in val/; png and jpeg, one of them in a sub-folder."""
    seed = 0
    for folder, count in (("train", 10), ("val", 4)):
        for name in ("cat", "dog"):
            for i in range(count):
                seed += 1
                _write_image(tmp_path / folder / name / f"{i:02}.{'png' if i % 2 else 'JPEG'}", seed)
    _write_image(tmp_path / "train" / "dog" / "more" / "deep.webp", 1000)
    return tmp_path


@pytest.fixture
def folder() -> Callable[..., ImageFolder]:
    def make(root: Path | str | None, made: Callable[..., Any] = ImageFolder, **changes: Any) -> Any:
        settings = {
            "image_size": 24,
            "choose_fraction": 0.2,
            "choose_max_examples": 1000,
            "check_images": 1000,
            "background": "white",
            "on_error": "fail",
        }
        return made(root=root if root is None else str(root), **{**settings, **changes})

    return make


@pytest.fixture
def thin() -> ThinResNet:
    return ThinResNet(widths=[4, 8], blocks_per_stage=1, zero_init_residual=True, classifier_std=0.01)


@pytest.fixture
def real() -> TorchvisionResNet50:
    return TorchvisionResNet50(zero_init_residual=True, classifier_std=0.01)


@pytest.fixture
def recipe(digits: Callable[..., Digits], thin: ThinResNet) -> Callable[..., ResNet50]:
    def make(made: Callable[..., Any] = ResNet50, **changes: Any) -> Any:
        settings = {
            "name": "resnet50",
            "model": thin,
            "data": digits(),
            "global_batch": 32,
            "micro_batch": 8,
            "eval_batch": 64,
        }
        return made(**{**settings, **changes})

    return make
