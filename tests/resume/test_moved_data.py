"""Runs whose data have moved, changed or gone: they go on where the data are the same, and export without any."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml
from PIL import Image

from autolrs_cli.commands import resume as resuming
from autolrs_cli.commands import train as training
from autolrs_cli.commands.export import main as export
from autolrs_cli.runner.path_settings import make_absolute, path_keys, set_path

IMAGES = (
    "recipe=resnet50",
    "scale=tiny",
    "data=image_folder",
    "data.image_size=16",
    "model=thin_resnet",
    "schedule=original",
    "run.max_steps=30",
    "run.eval_every_steps=30",
    "dashboard=none",
)
SHORT = ("schedule=original", "dashboard=none", "run.max_steps=40", "run.eval_every_steps=40")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of bitmaps, all of one size."""
    for i in range(80):
        place = tmp_path / "images" / ("val" if i % 4 == 3 else "train") / ("light" if i // 4 % 2 else "dark")
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 128, (20, 20, 3), dtype=np.uint8) + 127 * (i // 4 % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:02}.bmp")
    return tmp_path / "images"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "cache"))


def train(*overrides: str, code: int = 0) -> None:
    assert training.main(overrides, started=time.perf_counter()) == code


def recorded(run: Path) -> dict:
    return yaml.safe_load((run / "config.yaml").read_text())


class TestImages:
    @pytest.fixture
    def stopped(self, tmp_path: Path, images: Path) -> Path:
        """A run that was started with a relative path and stopped by its time limit."""
        train(*IMAGES, "data.root=images", "run.dir=run", "runtime.max_seconds=0.001", code=75)
        return tmp_path / "run"

    @pytest.fixture
    def resume(
        self, stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., str]:
        """Go on with it in another folder; returns what was said."""
        (stopped.parent / "elsewhere").mkdir()
        monkeypatch.chdir(stopped.parent / "elsewhere")

        def run(*changes: str, code: int = 0) -> str:
            changes = ("dashboard=none", "runtime.max_seconds=null", *changes)
            assert resuming.main(stopped, changes, [], started=time.perf_counter()) == code
            said = capsys.readouterr()
            return said.out + said.err

        return run

    def test_it_goes_on_from_any_folder(
        self, stopped: Path, images: Path, resume: Callable[..., str]
    ) -> None:
        assert recorded(stopped)["data"]["root"] == str(images)
        assert recorded(stopped)["recipe"]["data"]["root"] == str(images)
        resume()

    def test_moved_data_can_be_named_and_other_data_are_refused(
        self, stopped: Path, images: Path, tmp_path: Path, resume: Callable[..., str]
    ) -> None:
        images.rename(tmp_path / "moved")
        said = resume(code=2)
        assert f"data.root={images} does not exist" in said
        shutil.copytree(tmp_path / "moved", tmp_path / "other")
        first = next((tmp_path / "other" / "val" / "dark").iterdir())
        first.write_bytes(first.read_bytes()[:-1] + b"\xff")
        said = resume("data.root=../other", code=2)
        assert "data.root=../other has the fingerprint" in said
        resume("data.root=../moved")
        summary = json.loads((stopped / "summary.json").read_text())
        assert (summary["status"], summary["bit_exact"]) == ("done", True)

    def test_labels_swapped_between_stop_and_resume_are_refused(
        self, stopped: Path, images: Path, tmp_path: Path, resume: Callable[..., str]
    ) -> None:
        for slice_ in ("train", "val"):
            pair = [sorted((images / slice_ / name).iterdir()) for name in ("dark", "light")]
            for one, other in zip(*pair, strict=True):
                assert one.stat().st_size == other.stat().st_size
                content = one.read_bytes()
                one.write_bytes(other.read_bytes())
                other.write_bytes(content)
        assert "fingerprint" in resume(code=2)

    def test_it_exports_without_its_data(self, images: Path, tmp_path: Path) -> None:
        train(*IMAGES, "data.root=images", "run.dir=run")
        shutil.rmtree(images)
        shutil.rmtree(tmp_path / "cache")
        assert export(tmp_path / "run", tmp_path / "out") == 0
        settings = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
        assert settings["id2label"] == {"0": "dark", "1": "light"}
        assert settings["label2id"] == {"dark": 0, "light": 1}
        assert (settings["crop_size"], settings["resize_size"]) == (16, 18)
        assert len(settings["mean"]) == len(settings["std"]) == 3

    def test_what_was_kept_is_checked(
        self, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        train(*IMAGES, "data.root=images", "run.dir=run")
        kept = tmp_path / "run" / "preprocessing" / "preprocessing.json"
        for content in ("", "[]", "{}", '{"id2label": {"1": "a"}}', "\0"):
            kept.write_text(content)
            assert export(tmp_path / "run", tmp_path / "out") == 2
            assert "must be whole" in capsys.readouterr().err
        shutil.rmtree(kept.parent)
        assert export(tmp_path / "run", tmp_path / "out") == 0  # with the data, which are still there


def test_the_preprocessing_of_an_export_is_that_of_the_run(
    images: Path, tmp_path: Path, folder_data: Callable
) -> None:
    import torch

    from autolrs_recipes.data.images.preprocessing import Preprocessing
    from autolrs_recipes.data.images.streams import HeldOutImages

    data = folder_data(images)
    path = data.preprocessing().write(tmp_path)
    read = Preprocessing.read(tmp_path)
    assert (read.classes, read.crop_size, tuple(read.mean)) == (
        ("dark", "light"),
        16,
        data.preprocessing().mean,
    )
    names: dict = {"model": torch.nn.Identity()}
    exec(data.preprocessing().code(path), names)
    reader = data.reader("target")
    batch = HeldOutImages(reader, 4).batch(0)
    for place, expected in zip(reader.paths[:4], batch["images"], strict=True):
        with Image.open(images / os.fsdecode(place)) as image:
            assert names["preprocess"](image.convert("RGB")).equal(expected)


@pytest.fixture
def folder_data() -> Callable:
    from autolrs_recipes.data.images.image_folder import ImageFolder

    def make(root: Path) -> ImageFolder:
        return ImageFolder(
            root=str(root),
            image_size=16,
            choose_fraction=0.2,
            choose_max_examples=100,
            check_images=0,
            background="white",
            on_error="fail",
        )

    return make


def test_text_models_export_without_their_data(tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

    text = "\n\n".join(f"one sentence {i}\nand the next {i}\nthe third {i}" for i in range(60))
    (tmp_path / "text").write_text(text)
    train("recipe=bert", "scale=tiny", *SHORT, "data=text_files", "data.files=[te*t]", "run.dir=bert")
    assert recorded(tmp_path / "bert")["data"]["files"] == [str(tmp_path / "te*t")]
    train("recipe=transformer", "scale=tiny", *SHORT, "run.dir=transformer")
    (tmp_path / "text").unlink()
    shutil.rmtree(tmp_path / "cache")
    for name, kind in (("bert", AutoModelForMaskedLM), ("transformer", AutoModelForSeq2SeqLM)):
        assert export(tmp_path / name, tmp_path / "out" / name) == 0
        model = kind.from_pretrained(tmp_path / "out" / name)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / name)
        assert len(tokenizer) == model.config.vocab_size


class TestPathSettings:
    DATA: ClassVar = {
        "_target_": "autolrs_recipes.data.pretraining.text_files.TextFiles",
        "files": ["a.txt", "b*.txt", "/c.txt"],
        "validation_files": "~/d.txt",
        "format": "plain",
        "cache_dir": None,
    }

    def test_they_are_found_by_their_type_and_made_absolute(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd = tmp_path / "[odd] folder"
        odd.mkdir()
        monkeypatch.chdir(odd)
        config = {"data": dict(self.DATA), "recipe": {"_target_": "no.such.Thing", "data": dict(self.DATA)}}
        make_absolute(config)
        for node in (config["data"], config["recipe"]["data"]):
            escaped = str(odd).replace("[", "[[]")
            assert node["files"] == [f"{odd}/a.txt", f"{escaped}/b*.txt", "/c.txt"]
            assert node["validation_files"] == str(Path.home() / "d.txt")
            assert (node["format"], node["cache_dir"]) == ("plain", None)
        assert set(path_keys(config)) == {
            f"{at}.{name}"
            for at in ("data", "recipe.data")
            for name in ("files", "validation_files", "cache_dir")
        }
        set_path(config, "data.files", "x.txt")
        assert config["recipe"]["data"]["files"] == config["data"]["files"] == f"{odd}/x.txt"

    def test_data_that_the_recipe_does_not_hold_is_left_alone(self) -> None:
        """What a person's own recipe has no use for is not even imported."""
        data = {"_target_": "autolrs_recipes.data.translation.wmt14.WMT14", "name": "./here"}
        held = {"recipe": {"data": dict(data)}, "data": dict(data)}
        idle = {"recipe": {"width": 3}, "data": dict(data)}
        assert path_keys(held) == ["recipe.data.name", "data.name"]
        assert path_keys(idle) == []
        make_absolute(idle)
        assert idle["data"] == data

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ("wmt/wmt14", "wmt/wmt14"),
            ("here", "{cwd}/here"),
            ("./nowhere", "{cwd}/nowhere"),
            (3, 3),
            ("a\0b", "a\0b"),
        ],
    )
    def test_a_name_on_the_hub_stays_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: object, found: object
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "here").mkdir()
        config = {"data": {"_target_": "autolrs_recipes.data.translation.wmt14.WMT14", "name": given}}
        make_absolute(config)
        assert config["data"]["name"] == (found.format(cwd=tmp_path) if isinstance(found, str) else found)

    def test_a_word_is_no_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "none").mkdir()
        target = "autolrs_recipes.data.pretraining.wikipedia_books.WikipediaBooks"
        config = {"data": {"_target_": target, "books": "none"}}
        make_absolute(config)
        assert config["data"]["books"] == "none"
