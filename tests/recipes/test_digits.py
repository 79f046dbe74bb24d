from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from refusals import told
from sklearn.datasets import load_digits

from autolrs_recipes.data.images import digits as module
from autolrs_recipes.data.images.digits import MEAN, STD, Digits, read_digits
from autolrs_recipes.data.images.streams import Draw


def test_constants_are_those_of_the_pixels():
    pixels = torch.from_numpy(load_digits().images / 16)
    assert pixels.mean().item() == pytest.approx(MEAN, abs=1e-4)
    assert pixels.std(correction=0).item() == pytest.approx(STD, abs=1e-4)


@pytest.mark.parametrize("found", [True, False], ids=["its file", "a release that keeps it elsewhere"])
def test_the_digits_are_scikit_learns(found, monkeypatch):
    if not found:
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    theirs, (pixels, labels) = load_digits(), read_digits()
    assert (pixels == theirs.images).all()
    assert (labels == theirs.target).all()
    assert (pixels.dtype, labels.dtype) == (theirs.images.dtype, "int64")


def test_held_out_images_are_a_plain_bilinear_enlargement(digits):
    reader = digits(image_size=40).reader("target")
    images = reader.read(torch.arange(len(reader)), None)["images"]
    black_border = F.pad(reader.pixels, (1, 1, 1, 1))
    reference = F.interpolate(black_border, size=50, mode="bilinear", align_corners=False)[..., 5:45, 5:45]
    assert torch.allclose(images * STD + MEAN, reference.expand(-1, 3, -1, -1), atol=1e-5)


def test_native_size_without_augmentation_is_the_original(digits):
    reader = digits(image_size=8).reader("choose")
    images = reader.read(torch.arange(5), None)["images"]
    assert torch.allclose(images[:, :1] * STD + MEAN, reader.pixels[:5], atol=1e-6)


def test_quarter_turn(digits):
    reader = digits(image_size=8, rotate_degrees=90, shift_fraction=0, zoom_fraction=0).reader("train")
    reader._draws = lambda draw, count: torch.tensor([1.0, 0, 0, 0]).view(4, 1).expand(4, count)
    images = reader.read(torch.arange(3), Draw(0, 0, 0, 0, 3))["images"][:, :1]
    assert torch.allclose(images * STD + MEAN, reader.pixels[:3].rot90(1, (2, 3)), atol=1e-5)


def test_draws_cover_their_range_and_stay_inside(digits):
    draws = digits().reader("train")._draws(Draw(0, 0, 0, 0, 2000), 2000)
    assert draws.abs().max() <= 1
    assert (draws.min(dim=1).values < -0.95).all()
    assert (draws.max(dim=1).values > 0.95).all()


def test_no_augmentation_at_zero_ranges(digits):
    reader = digits(rotate_degrees=0, shift_fraction=0, zoom_fraction=0).reader("train")
    augmented = reader.read(torch.arange(4), Draw(0, 0, 0, 0, 4))
    assert torch.equal(augmented["images"], reader.read(torch.arange(4), None)["images"])


def test_good_settings_have_no_problems(digits):
    assert digits().problems() == []
    assert digits().sizes == {"train": 1304, "choose": 193, "target": 300}
    assert "1,797 images, resized to 16 px" in digits().describe()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 0),
        ("image_size", 16.5),
        ("image_size", "big"),
        ("choose_fraction", 0),
        ("choose_fraction", 1),
        ("choose_fraction", None),
        ("target_fraction", -0.1),
        ("target_fraction", float("nan")),
        ("rotate_degrees", -1),
        ("shift_fraction", 2),
        ("zoom_fraction", 1),
        ("zoom_fraction", True),
    ],
)
def test_bad_settings_name_their_key(digits, key, value):
    (problem,) = digits(told("data", Digits), **{key: value})
    assert f"`data.{key}`" in problem
    assert f"Set data.{key}" in problem


def test_all_bad_settings_at_once(digits):
    assert len(digits(told("data", Digits), image_size=0, choose_fraction=0, rotate_degrees="x")) == 3


def test_slices_must_leave_training_images(digits):
    (problem,) = digits(choose_fraction=0.5, target_fraction=0.5).problems()
    assert "data.choose_fraction=0.5" in problem
