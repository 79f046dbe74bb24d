"""Characters drawn from matplotlib's fonts: the same everywhere, balanced, and held-out forms are not trained on."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from refusals import told

from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.images.glyphs.distance import CELLS, EMS, distance_field
from autolrs_recipes.data.images.glyphs.draw import Look, draw
from autolrs_recipes.data.images.glyphs.fonts import (
    CHARACTERS,
    DESIGNS,
    FONTS,
    REMEDY,
    SLICES,
    font_files,
    letter_forms,
    outlines,
)
from autolrs_recipes.data.images.glyphs.glyphs import Glyphs
from autolrs_recipes.data.images.glyphs.reader import MEAN, STD
from autolrs_recipes.data.images.streams import Draw

KNOWN = "8dddbefa49cc9d79"
PLAIN = Look(
    image_size=24,
    margin=0,
    rotate_degrees=0,
    shear=0,
    zoom_fraction=0,
    shift_fraction=0,
    weight_ems=0,
    least_contrast=1,
    shade=0,
    noise=0,
)


def square(low: float, high: float, *, turned: bool = False, up: float = 0) -> np.ndarray:
    """Return the segments of a square, [4, 4], anticlockwise unless `turned`, moved up."""
    corners = np.array([(low, low + up), (high, low + up), (high, high + up), (low, high + up)])
    corners = corners[::-1] if turned else corners
    return np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)


class TestSplit:
    def test_no_form_is_in_two_slices_and_none_is_left_out(self) -> None:
        forms = [form for which in SLICES for form in letter_forms(which, unseen=True)]
        assert sorted(forms) == [(font, i) for font in range(len(FONTS)) for i in range(len(CHARACTERS))]

    def test_a_design_is_not_torn_apart(self) -> None:
        slice_of = {form: which for which in SLICES for form in letter_forms(which, unseen=True)}
        for design in DESIGNS:
            for i in range(len(CHARACTERS)):
                assert len({slice_of[FONTS.index(font), i] for font in design}) == 1

    @pytest.mark.parametrize("which", SLICES)
    def test_every_font_and_every_character_is_in_every_slice(self, which: str) -> None:
        shown, characters = zip(*letter_forms(which, unseen=True), strict=True)
        assert set(shown) == set(range(len(FONTS)))
        assert set(characters) == set(range(len(CHARACTERS)))

    @pytest.mark.parametrize("which", SLICES)
    def test_or_every_form_is_in_every_slice_in_other_images(self, glyphs, which: str) -> None:
        forms = set(letter_forms(which, unseen=False))
        assert forms == {(font, i) for font in range(len(FONTS)) for i in range(len(CHARACTERS))}
        seen, unseen = glyphs(unseen_forms=False), glyphs()
        pixels = seen._arrays(which)["pixels"]
        assert not np.array_equal(pixels, unseen._arrays(which)["pixels"])
        others = [seen._arrays(other)["pixels"].tobytes() for other in SLICES if other != which]
        assert not any(image.tobytes() in other for image in pixels for other in others)
        assert "unseen" in unseen.describe()
        assert "unseen" not in seen.describe()

    @pytest.mark.parametrize("which", SLICES)
    def test_classes_are_balanced_and_so_are_the_fonts_of_a_class(self, glyphs, which: str) -> None:
        arrays = glyphs()._arrays(which)
        counts = np.bincount(arrays["labels"], minlength=len(CHARACTERS))
        assert counts.max() - counts.min() <= 1
        of_a = np.bincount(arrays["fonts"][arrays["labels"] == CHARACTERS.index("a")])
        assert of_a[of_a > 0].max() - of_a[of_a > 0].min() <= 1
        forms = set(letter_forms(which, unseen=True))
        assert set(zip(arrays["fonts"].tolist(), arrays["labels"].tolist(), strict=True)) <= forms


class TestDrawing:
    def test_distances_of_a_square_with_a_hole(self) -> None:
        hole = square(-0.1, 0.1, turned=True, up=0.25)
        field = distance_field(np.concatenate([square(-0.3, 0.3, up=0.25), hole]))
        centre = (np.arange(CELLS) + 0.5) * (EMS / CELLS) - EMS / 2
        x, y = np.meshgrid(centre, centre)
        edge = np.maximum(np.abs(x), np.abs(y))
        inside = (edge > 0.1) & (edge < 0.3)
        assert ((field > 0) == inside).all()
        beside = (np.abs(y) < 0.1) & (np.abs(x) > 0.1)  # where the nearest edge is upright
        expected = np.minimum(0.3 - np.abs(x), np.abs(x) - 0.1)
        assert np.allclose(field[beside], expected[beside], atol=1e-6)

    def test_contours_that_overlap_leave_no_hole(self) -> None:
        field = distance_field(np.concatenate([square(-0.2, 0.2, up=0.25), square(-0.1, 0.3, up=0.25)]))
        assert field[CELLS // 2, CELLS // 2] > 0

    def test_a_character_drawn_plainly_is_as_matplotlib_draws_it(self) -> None:
        """Against FreeType's own rasteriser, at the same size: no pixel of the middle of a stroke is elsewhere."""
        from matplotlib.ft2font import FT2Font

        (path,) = [p for p in font_files() if p.stem == "DejaVuSans-Bold"]
        font = FT2Font(str(path))
        font.set_size(24 / 1.25, 72)
        for character in "AgQ4":
            (segments,) = outlines(path, character)
            (image,) = draw(
                distance_field(segments)[None], np.zeros(1, np.int64), PLAIN, 5, lambda done: None
            )
            image = image if image[0, 0] < 128 else 255 - image
            font.clear()
            font.set_text(character)
            font.draw_glyphs_to_bitmap()
            reference = np.asarray(font.get_image())
            ours = np.argwhere(image > 127)
            theirs = np.argwhere(reference > 127)
            size = np.ptp(ours, axis=0) - np.ptp(theirs, axis=0)
            assert np.abs(size).max() <= 1, character
            assert abs(len(ours) - len(theirs)) <= 0.25 * len(theirs), character

    def test_each_setting_changes_the_images(self, glyphs) -> None:
        (segments,) = outlines(font_files()[0], "R")
        field = distance_field(segments)[None]

        def drawn(**changes: object) -> np.ndarray:
            look = Look(**{**PLAIN.__dict__, **changes})
            return draw(field, np.zeros(3, np.int64), look, 5, lambda done: None)

        plain = drawn()
        assert set(np.unique(plain[:, 0, 0])) <= {0, 255}
        for change in (
            {"rotate_degrees": 10.0},
            {"shear": 0.2},
            {"zoom_fraction": 0.2},
            {"shift_fraction": 0.1},
            {"weight_ems": 0.02},
            {"least_contrast": 0.5},
            {"shade": 0.3},
            {"noise": 0.1},
        ):
            assert not np.array_equal(drawn(**change), plain), change

    def test_noise_has_the_deviation_that_is_asked_for(self) -> None:
        field = np.full((1, CELLS, CELLS), -1, dtype=np.float32)
        look = Look(**{**PLAIN.__dict__, "noise": 0.1, "least_contrast": 0.01, "margin": 8})
        pixels = draw(field, np.zeros(60, np.int64), look, 1, lambda done: None) / 255
        grey = pixels[np.abs(np.median(pixels, axis=(1, 2)) - 0.5) < 0.15]  # where nothing is cut off
        assert len(grey) >= 5
        assert np.std(grey - grey.mean(axis=(1, 2), keepdims=True)) == pytest.approx(0.1, rel=0.05)


class TestSameEverywhere:
    def test_same_bytes_when_drawn_again_and_others_with_another_seed(self, glyphs, tmp_path: Path) -> None:
        first = glyphs()
        assert glyphs(cache_dir=str(tmp_path / "again")).fingerprint() == first.fingerprint()
        assert glyphs(seed=1).fingerprint() != first.fingerprint()

    def test_known_bytes(self) -> None:
        """A form drawn by hand: no processor and no version of a library may draw it differently."""
        look = Look(24, 1, 10.0, 0.15, 0.1, 0.06, 0.015, 0.4, 0.2, 0.05)
        field = distance_field(square(0.1, 0.6))[None]
        images = draw(field, np.zeros(8, np.int64), look, 7, lambda done: None)
        assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == KNOWN

    def test_other_slices_do_not_depend_on_how_many_are_trained_on(self, glyphs) -> None:
        one, other = glyphs(), glyphs(train_images=70)
        assert np.array_equal(one._arrays("target")["pixels"], other._arrays("target")["pixels"])

    @pytest.mark.parametrize("setting", [{"noise": 0.1}, {"image_size": 12}, {"target_images": 63}])
    def test_the_fingerprint_follows_the_settings(self, glyphs, setting: dict[str, object]) -> None:
        assert glyphs(**setting).fingerprint() != glyphs().fingerprint()


class TestReading:
    def test_held_out_images_are_the_middle_of_the_drawn_ones(self, glyphs) -> None:
        data = glyphs(augment_pixels=2)
        images = data.reader("target").read(torch.arange(5), None)["images"]
        middle = torch.from_numpy(data._arrays("target")["pixels"][:5, 2:-2, 2:-2]) / 255
        assert torch.allclose(images * STD + MEAN, middle[:, None].expand(-1, 3, -1, -1), atol=1e-6)

    def test_training_images_are_shifted_and_nothing_else(self, glyphs) -> None:
        data = glyphs(augment_pixels=1)
        reader = data.reader("train")
        examples = torch.zeros(200, dtype=torch.int64)
        images = reader.read(examples, Draw(0, 0, 0, 0, 200))["images"][:, 0] * STD + MEAN
        canvas = reader.pixels[0] / 255
        windows = [canvas[y : y + 16, x : x + 16] for y in range(3) for x in range(3)]
        found = {
            next(i for i, window in enumerate(windows) if torch.allclose(window, image, atol=1e-6))
            for image in images
        }
        assert found == set(range(9))

    def test_without_shifts_training_images_are_as_drawn(self, glyphs) -> None:
        reader = glyphs(augment_pixels=0).reader("train")
        examples = torch.arange(4)
        augmented = reader.read(examples, Draw(0, 0, 0, 0, 4))["images"]
        assert torch.equal(augmented, reader.read(examples, None)["images"])

    def test_constants_are_those_of_the_pixels(self, glyphs) -> None:
        pixels = glyphs(train_images=620).reader("train").pixels / 255
        assert pixels.mean().item() == pytest.approx(MEAN, abs=0.03)
        assert pixels.std().item() == pytest.approx(STD, abs=0.03)


class TestBadInput:
    def test_missing_fonts_are_all_named_before_anything_is_drawn(
        self, glyphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mpl, "get_data_path", lambda: str(tmp_path))
        (problem,) = glyphs().problems()
        assert f"{tmp_path / 'fonts' / 'ttf'} lacks DejaVuSans.ttf" in problem
        assert f"and {len(FONTS) - 5} more" in problem
        assert "pip install --force-reinstall matplotlib" in problem

    @pytest.mark.parametrize("stand_in", [None, "DejaVuSansDisplay"])
    def test_a_font_that_cannot_be_used(self, tmp_path: Path, stand_in: str | None) -> None:
        path = tmp_path / "cmr10.ttf"
        if stand_in is None:
            path.write_bytes(b"no font")
        else:
            shutil.copy(font_files()[0].with_name(f"{stand_in}.ttf"), path)
        with pytest.raises(ConfigError, match="lacks 0, 1, 2" if stand_in else "must be readable") as caught:
            outlines(path, CHARACTERS)
        assert str(path) in str(caught.value)
        assert REMEDY in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("image_size", 8),
            ("image_size", 224),
            ("seed", -1),
            ("train_images", 61),
            ("rotate_degrees", 90),
            ("least_contrast", 0),
            ("noise", float("nan")),
            ("augment_pixels", 0.5),
        ],
    )
    def test_bad_settings_name_their_key(self, glyphs, key: str, value: object) -> None:
        (problem,) = glyphs(told("data", Glyphs), **{key: value})
        assert f"`data.{key}`" in problem
        assert f"Set data.{key}" in problem

    def test_a_damaged_cache_is_drawn_again(self, glyphs, tmp_path: Path) -> None:
        first = glyphs(cache_dir=str(tmp_path))
        expected = first.fingerprint()
        (first._folder / "choose.safetensors").write_bytes(b"damaged")
        said: list[str] = []
        again = glyphs(cache_dir=str(tmp_path))
        again.prepare(lambda what, done, total: said.append(what))
        assert any("damaged" in line for line in said)
        assert again.fingerprint() == expected
