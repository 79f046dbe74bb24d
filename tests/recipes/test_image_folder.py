from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import pytest
import torch
from PIL import Image
from refusals import told

from autolrs_cli.errors import TrainingError
from autolrs_recipes.data.images.image_folder import ImageFolder
from autolrs_recipes.data.images.streams import Draw, HeldOutImages


def only(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_good_folder(folder, image_root):
    data = folder(image_root)
    assert data.problems() == []
    assert data.num_classes == 2
    assert data.sizes == {"train": 17, "choose": 4, "target": 8}
    assert "21 images in train/ and 8 in val/ of 2 classes" in data.describe()


def test_choose_is_held_out_of_train_and_target_is_val(folder, image_root):
    data = folder(image_root)
    assert all(path.startswith(b"train/") for path in data.reader("choose").paths)
    assert all(path.startswith(b"val/") for path in data.reader("target").paths)
    assert not set(data.reader("choose").paths.tolist()) & set(data.reader("train").paths.tolist())


def test_split_depends_on_relative_paths_only(folder, image_root, tmp_path_factory, monkeypatch):
    moved = tmp_path_factory.mktemp("moved") / "somewhere else"
    shutil.copytree(image_root, moved)
    here, there = folder(image_root), folder(moved)
    assert here.reader("choose").paths.tolist() == there.reader("choose").paths.tolist()
    assert here.fingerprint() == there.fingerprint()
    monkeypatch.chdir(moved)
    assert folder(".").fingerprint() == here.fingerprint()
    assert folder(f"{image_root}/").fingerprint() == here.fingerprint()


def test_slice_is_bounded_but_takes_one_of_each_class(folder, image_root):
    assert folder(image_root, choose_fraction=0.5, choose_max_examples=4).sizes["choose"] == 3  # 1.9 and 2.1
    assert folder(image_root, choose_fraction=1e-6).sizes["choose"] == 2


def test_fingerprint_follows_names_and_contents(folder, image_root, write_image):
    before = folder(image_root).fingerprint()
    (image_root / "val" / "cat" / "00.JPEG").rename(image_root / "val" / "cat" / "renamed.JPEG")
    renamed = folder(image_root).fingerprint()
    write_image(image_root / "val" / "cat" / "renamed.JPEG", seed=5, edge=60)
    assert len({before, renamed, folder(image_root).fingerprint()}) == 3


def test_labels_follow_sorted_classes(folder, image_root):
    reader = folder(image_root).reader("target")
    batch = HeldOutImages(reader, 8).batch(0)
    assert batch["labels"].tolist() == [int(b"/dog/" in path) for path in reader.paths]


def test_held_out_images_are_resized_and_cut_from_the_centre(folder, tmp_path):
    for place in ("train/a/0", "train/a/1", "train/b/0", "train/b/1", "val/a/0", "val/b/0"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (300, 256), 255).save(tmp_path / f"{place}.png")  # grey: becomes RGB
    image = HeldOutImages(folder(tmp_path, image_size=224).reader("target"), 1).batch(0)["images"][0]
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(image, white.view(3, 1, 1).expand(3, 224, 224), atol=1e-5)


def test_augmentation_flips_about_half(folder, tmp_path):
    for place in ("train/a/0", "train/a/1", "train/b/0", "train/b/1", "val/a/0", "val/b/0"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(90).save(tmp_path / f"{place}.png")  # brightness grows along a row
    reader = folder(tmp_path).reader("train")
    images = reader.read(torch.zeros(60, dtype=torch.int64), Draw(0, 0, 0, 0, 60))["images"]
    brighter_left = (images[..., 0].mean((1, 2)) > images[..., -1].mean((1, 2))).sum().item()
    assert 15 < brighter_left < 45


def test_vanished_file_ends_training_with_its_name(folder, image_root):
    reader = folder(image_root).reader("train")
    for path in reader.paths:
        (image_root / os.fsdecode(path)).unlink()
    with pytest.raises(TrainingError, match=r"train/cat/\d\d\."):
        reader.read(torch.tensor([0]), None)


class TestLayout:
    def test_root_not_given(self, folder):
        assert "`data.root` must be given" in only(folder(None).problems())

    def test_root_missing(self, folder, tmp_path):
        assert f"data.root={tmp_path}/no does not exist" in only(folder(tmp_path / "no").problems())

    def test_root_is_a_file(self, folder, tmp_path):
        (tmp_path / "file").write_text("x")
        assert "is not a folder" in only(folder(tmp_path / "file").problems())

    @pytest.mark.parametrize("name", ["train", "val"])
    def test_half_missing(self, folder, image_root, name):
        shutil.rmtree(image_root / name)
        assert f"has no {name}/" in only(folder(image_root).problems())

    def test_both_halves_missing_are_both_named(self, folder, tmp_path):
        assert len(folder(tmp_path).problems()) == 2

    def test_flat_folder_without_classes(self, folder, image_root, write_image):
        shutil.rmtree(image_root / "train")
        write_image(image_root / "train" / "0.png", 0)
        assert "must hold one folder per class" in only(folder(image_root).problems())

    def test_no_images(self, folder, image_root):
        shutil.rmtree(image_root / "val")
        for name in ("cat", "dog"):
            (image_root / "val" / name).mkdir(parents=True)
            (image_root / "val" / name / "notes.txt").write_text("x")
        assert "must hold images" in only(folder(image_root).problems())

    def test_class_without_images(self, folder, image_root):
        for path in (image_root / "train" / "cat").iterdir():
            path.unlink()
        problem = only(folder(image_root).problems())
        assert "1 of" in problem
        assert problem.count("cat") == 1

    def test_one_class(self, folder, image_root):
        shutil.rmtree(image_root / "train" / "dog")
        shutil.rmtree(image_root / "val" / "dog")
        assert "at least two classes" in only(folder(image_root).problems())

    def test_classes_differ(self, folder, image_root):
        (image_root / "val" / "dog").rename(image_root / "val" / "dig")
        problem = only(folder(image_root).problems())
        assert "dog (only in train/), dig (only in val/)" in problem
        assert "look alike" not in problem

    def test_classes_differ_in_their_unicode_form_only(self, folder, image_root):
        for part, form in (("train", "NFC"), ("val", "NFD")):
            (image_root / part / "dog").rename(image_root / part / unicodedata.normalize(form, "ñandú"))
        problem = only(folder(image_root).problems())
        assert (
            "look alike, but differ in their Unicode form: the first is in NFC, the second in NFD" in problem
        )
        assert "2 differ" in problem


class TestSettings:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("image_size", 0),
            ("choose_fraction", 0),
            ("choose_fraction", 1.5),
            ("choose_max_examples", 0),
            ("check_images", -1),
            ("check_images", "all"),
        ],
    )
    def test_bad_values_name_their_key(self, folder, image_root, key, value):
        assert f"`data.{key}`" in only(folder(image_root, told("data", ImageFolder), **{key: value}))

    def test_slice_that_eats_a_class(self, folder, image_root):
        for path in sorted((image_root / "train" / "cat").iterdir())[1:]:
            path.unlink()
        assert "takes all of 1: cat" in only(folder(image_root).problems())

    def test_settings_and_files_at_once(self, folder, tmp_path):
        problems = folder(tmp_path / "no", told("data", ImageFolder), image_size=0, choose_fraction=0)
        assert len(problems) == 3


class TestBrokenImages:
    @pytest.fixture
    def broken(self, image_root: Path) -> Path:
        cat = image_root / "train" / "cat"
        (cat / "00.JPEG").write_bytes(b"")
        (cat / "01.png").write_bytes((cat / "01.png").read_bytes()[:900])
        (cat / "02.JPEG").write_text("this is no image")
        dog = image_root / "val" / "dog"
        (dog / "00.JPEG").write_bytes((dog / "00.JPEG").read_bytes()[:600])
        (dog / "01.png").unlink()
        (dog / "01.png").symlink_to(image_root / "nowhere.png")
        return image_root

    def test_named_and_counted(self, folder, broken):
        problem = only(folder(broken).problems())
        assert "5 in data.root=" in problem
        assert "27 of 29 were decoded" in problem
        assert "train/cat/00.JPEG (empty file)" in problem
        assert "train/cat/01.png (" in problem
        assert "train/cat/02.JPEG (not an image)" in problem
        assert "val/dog/00.JPEG (" in problem
        assert "val/dog/01.png (cannot be opened)" in problem

    def test_only_five_are_written_out(self, folder, broken):
        (broken / "val" / "cat" / "00.JPEG").write_text("x")
        problem = only(folder(broken).problems())
        assert "6 in data.root=" in problem
        assert "and 1 more" in problem

    def test_deterministic(self, folder, broken):
        assert folder(broken).problems() == folder(broken).problems()

    def test_check_can_be_turned_off_but_sizes_are_always_looked_at(self, folder, broken):
        problem = only(folder(broken, check_images=0).problems())
        assert "2 in data.root=" in problem

    def test_fewer_than_all(self, folder, broken):
        assert "of 29 were decoded" in only(folder(broken, check_images=5).problems())

    def test_one_image_checked(self, folder, image_root):
        assert folder(image_root, check_images=1).problems() == []

    @pytest.mark.parametrize("most", [1000, 1500])
    def test_decompression_bomb(self, folder, image_root, monkeypatch, most):
        monkeypatch.setattr(
            Image, "MAX_IMAGE_PIXELS", most
        )  # images have 1,920: a warning below 2x, an error above
        problem = only(folder(image_root).problems())
        assert "29 in data.root=" in problem
        assert f"more than {most:,} pixels" in problem

    def test_reported_together_with_the_layout(self, folder, broken):
        (broken / "val" / "cat").rename(broken / "val" / "cow")
        assert len(folder(broken).problems()) == 2
