"""idx files and image sets of the hub: what is read from them, what is made of it, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute
import pyarrow.parquet
import pytest
import torch
from datasets import Dataset, DatasetDict, load_dataset
from PIL import Image
from refusals import error_of_data
from stored_cases import (  # noqa: F401
    CLASSES,
    colour_images,
    fashion_mnist,
    grey_images,
    hub_cache,
    hub_images,
    idx,
    write_idx,
    write_parquet,
)

from autolrs_cli.contracts import Position
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.images.stored.images import StoredImages
from autolrs_recipes.data.images.streams import TrainImages
from autolrs_recipes.models.resnet50 import TorchvisionResNet50

pytestmark = pytest.mark.usefixtures("hub_cache")


def held_out(data: StoredImages, which: str = "target") -> dict[str, torch.Tensor]:
    reader = data.reader(which)  # type: ignore[arg-type]
    return reader.read(torch.arange(len(reader)), None)


def train_pixels(data: StoredImages, size: int, step: int = 0) -> np.ndarray:
    """Training images of one step as a person sees them, uint8 [size, H, W, 3], in the order of their ids."""
    stream = TrainImages(data.reader("train"), seed=0, phase=0, global_batch=size, micro_batch=size)
    batch = stream.batch(Position(0, step, 0))
    order = batch["ids"].argsort()
    return data.preprocessing().pixels(batch["images"][order])


class TestIdxFiles:
    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_pixels_labels_and_names(self, tmp_path: Path, packed: bool) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx", packed=packed), tmp_path / "cache")
        assert data.problems() == []
        images, labels = grey_images(15, seed=1)
        found = held_out(data)
        assert found["labels"].tolist() == labels.tolist()
        seen = data.preprocessing().pixels(found["images"])
        assert np.array_equal(seen, np.repeat(images[..., None], 3, axis=3))
        assert data.preprocessing().classes == tuple(CLASSES)
        assert data.sizes == {"train": 48, "choose": 12, "target": 15}

    def test_packed_and_plain_files_are_the_same_data(self, tmp_path: Path) -> None:
        one, other = (
            fashion_mnist(write_idx(tmp_path / str(packed), packed=packed), tmp_path / f"cache{packed}")
            for packed in (False, True)
        )
        assert one.fingerprint() == other.fingerprint()

    def test_normalisation_is_that_of_the_training_images(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache")
        pixels = grey_images(60)[0] / 255
        made = data.preprocessing()
        assert made.mean == pytest.approx([pixels.mean()] * 3, abs=1e-4)
        assert made.std == pytest.approx([pixels.std()] * 3, abs=1e-4)

    def test_another_size_is_resized_once(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache", image_size=24)
        assert held_out(data)["images"].shape == (15, 3, 24, 24)
        native = fashion_mnist(tmp_path / "idx", tmp_path / "cache")
        assert data.fingerprint() == native.fingerprint()

    def test_files_are_not_read_again(self, tmp_path: Path) -> None:
        root = write_idx(tmp_path / "idx")
        fashion_mnist(root, tmp_path / "cache").prepare(quiet)
        told: list[str] = []
        fashion_mnist(root, tmp_path / "cache").prepare(lambda what, done, total: told.append(what))
        assert told == []
        write_idx(root, train=63)
        changed = fashion_mnist(root, tmp_path / "cache")
        assert changed.sizes["train"] + changed.sizes["choose"] == 63

    def test_damaged_pixels_are_made_anew(self, tmp_path: Path) -> None:
        root = write_idx(tmp_path / "idx")
        first = fashion_mnist(root, tmp_path / "cache")
        fingerprint, images = first.fingerprint(), held_out(first)["images"]
        [path] = (tmp_path / "cache").glob("idx_images/*/held_out.npy")
        path.write_bytes(path.read_bytes()[:-1])
        again = fashion_mnist(root, tmp_path / "cache")
        assert again.fingerprint() == fingerprint
        assert torch.equal(held_out(again)["images"], images)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda content: content[:-1], "is cut"),
            (lambda content: content + b"x", "and has more"),
            (lambda content: content[:10], "ends within its head"),
            (lambda content: b"", "begins with nothing"),
            (lambda content: b"\x89PNG" + content[4:], "magic number 00000803, but"),
            (lambda content: idx(np.zeros(60)), "begins with 00000801"),
            (lambda content: content[:3] + b"\x02" + content[4:], "begins with 00000802"),
            (lambda content: b"\0\0\x08\x03" + b"\xff" * 12, "promise"),
            (lambda content: idx(np.zeros((59, 12, 12))), "has 59 images"),
            (lambda content: gzip.compress(content)[:-9], "packed idx file must be whole"),
            (lambda content: b"\x1f\x8b" + b"nonsense", "packed idx file must be whole"),
        ],
    )
    def test_bad_images(self, tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
        path = write_idx(tmp_path / "idx") / "train-images-idx3-ubyte"
        path.write_bytes(change(path.read_bytes()))
        assert words in error_of_data(fashion_mnist(tmp_path / "idx", tmp_path / "cache"))
        assert not list((tmp_path / "cache").glob("idx_images/*/summary.json"))

    def test_labels_that_are_no_class(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "idx")
        problem = error_of_data(
            fashion_mnist(tmp_path / "idx", tmp_path / "cache", classes=["coat", "dress"])
        )
        assert "must be one of 0 to 1" in problem
        assert "the first is 2 of image 2" in problem

    def test_no_folder_and_no_files(self, tmp_path: Path) -> None:
        assert "`data.root` must be given" in error_of_data(fashion_mnist(None, tmp_path))
        assert "does not exist" in error_of_data(fashion_mnist(tmp_path / "none", tmp_path))
        write_idx(tmp_path / "idx", packed=True)
        (tmp_path / "idx" / "t10k-labels-idx1-ubyte.gz").unlink()
        problem = error_of_data(fashion_mnist(tmp_path / "idx", tmp_path))
        assert "lacks t10k-labels-idx1-ubyte" in problem
        assert "apt install dataset-fashion-mnist" in problem


class TestSlices:
    def test_the_seed_of_the_data_decides_which_images_choose(self, tmp_path: Path) -> None:
        root = write_idx(tmp_path / "idx")

        def chosen(seed: int) -> list[int]:
            return held_out(fashion_mnist(root, tmp_path / "cache", seed=seed), "choose")["ids"].tolist()

        assert chosen(0) == chosen(0)
        assert chosen(0) != chosen(1)

    def test_every_class_gives_its_share(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache", choose_fraction=0.25)
        assert np.bincount(held_out(data, "choose")["labels"]).tolist() == [5, 5, 5]
        few = fashion_mnist(tmp_path / "idx", tmp_path / "cache", choose_max_examples=6)
        assert np.bincount(held_out(few, "choose")["labels"]).tolist() == [2, 2, 2]

    def test_fewer_held_out_images(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache", target_max_examples=9)
        found = held_out(data)
        assert np.bincount(found["labels"]).tolist() == [3, 3, 3]
        everything = fashion_mnist(tmp_path / "idx", tmp_path / "cache", target_max_examples=10_000)
        assert everything.sizes["target"] == 15
        assert everything.fingerprint() != data.fingerprint()
        place = held_out(everything)["ids"].tolist().index(int(found["ids"][0]))
        assert torch.equal(found["images"][0], held_out(everything)["images"][place])

    def test_duplicates_stay_together(self, tmp_path: Path) -> None:
        root = write_idx(tmp_path / "idx")
        images, labels = grey_images(30)
        (root / "train-images-idx3-ubyte").write_bytes(idx(np.concatenate([images, images])))
        (root / "train-labels-idx1-ubyte").write_bytes(idx(np.concatenate([labels, labels])))
        ids = held_out(fashion_mnist(root, tmp_path / "cache"), "choose")["ids"]
        assert {int(i) % 30 for i in ids if i < 30} == {int(i) % 30 for i in ids if i >= 30} != set()

    def test_nothing_left_to_train_on(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx", train=3), tmp_path / "cache")
        assert "have none left: coat, dress, bag" in error_of_data(data)


class TestAugmentation:
    def test_shifts_and_mirrors(self, tmp_path: Path) -> None:
        """Each training image is a window of its own, padded by black, perhaps mirrored; all windows occur."""
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache", pad_pixels=1)
        plain = held_out(data, "train")
        originals = data.preprocessing().pixels(plain["images"][plain["ids"].argsort()])
        padded = np.pad(originals, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = {
            (row, column, flip): padded[:, row : row + 12, column : column + 12][:, :, :: -1 if flip else 1]
            for row in range(3)
            for column in range(3)
            for flip in (False, True)
        }
        seen = set()
        for step in range(6):
            for place, image in enumerate(train_pixels(data, len(originals), step)):
                fits = [key for key, window in windows.items() if np.array_equal(window[place], image)]
                assert len(fits) == 1
                seen.add(fits[0])
        assert seen == set(windows)

    def test_none_at_all(self, tmp_path: Path) -> None:
        data = fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache", pad_pixels=0, flip=False)
        plain = held_out(data, "train")
        originals = data.preprocessing().pixels(plain["images"][plain["ids"].argsort()])
        assert np.array_equal(train_pixels(data, len(originals)), originals)

    def test_crops_lie_within_the_image(self, tmp_path: Path) -> None:
        """Of an image whose shade says where a pixel is, a crop shows a range of places as large as it should be."""
        edge = 64
        ramp = np.broadcast_to(np.arange(edge, dtype=np.uint8) * 4, (edge, edge))
        for name in ("train", "t10k"):
            (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(np.stack([ramp] * 60)))
            (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(60) % 3))
        changes = {
            "image_size": 56,
            "pad_pixels": 0,
            "flip": False,
            "least_area": 0.25,
            "choose_fraction": 0.01,
        }
        data = fashion_mnist(tmp_path, tmp_path / "cache", **changes)
        # All images are one, so they all choose LRs or none does: read the held-out ones as if they trained.
        reader = data.reader("target")
        stream = TrainImages(reader, seed=0, phase=0, global_batch=60, micro_batch=60)
        seen = data.preprocessing().pixels(stream.batch(Position(0, 0, 0))["images"])[:, 28, :, 0].astype(int)
        widths = (seen[:, -1] - seen[:, 0]) / (4 * 55) * 56 / 64
        least, most = np.sqrt(0.25 / (4 / 3)), 1.0
        assert widths.min() > 0.9 * least
        assert widths.max() <= 1.05 * most
        assert widths.max() - widths.min() > 0.3

    def test_crops_and_shifts_exclude_each_other(self, tmp_path: Path) -> None:
        assert "data.pad_pixels=0" in error_of_data(
            fashion_mnist(write_idx(tmp_path / "idx"), tmp_path, least_area=0.5)
        )


class TestHubImages:
    def test_what_is_in_the_parquet_files(self, tmp_path: Path) -> None:
        data = hub_images(write_parquet(tmp_path / "hub"), tmp_path / "cache")
        assert data.problems() == []
        found = held_out(data)
        assert found["labels"].tolist() == [i % 3 for i in range(15)]
        assert data.preprocessing().classes == tuple(CLASSES)
        assert data.sizes == {"train": 48, "choose": 12, "target": 15}
        # As whoever exports the model prepares an image.
        made = data.preprocessing()
        assert (made.resize_size, made.crop_size, made.background) == (16, 16, "white")
        assert torch.allclose(found["images"], exported(made, tmp_path, colour_images(15, 1)), atol=1e-5)

    def test_crops_are_tested_on_the_middle(self, tmp_path: Path) -> None:
        data = hub_images(
            write_parquet(tmp_path / "hub"), tmp_path / "cache", image_size=14, pad_pixels=0, least_area=0.1
        )
        made = data.preprocessing()
        assert (made.resize_size, made.crop_size) == (16, 14)
        expected = exported(made, tmp_path, colour_images(15, 1))
        assert torch.allclose(held_out(data)["images"], expected, atol=1e-5)

    def test_what_save_to_disk_wrote_is_the_same_data(self, tmp_path: Path) -> None:
        root = write_parquet(tmp_path / "hub")
        load_dataset(str(root)).save_to_disk(str(tmp_path / "saved"))
        one, other = hub_images(root, tmp_path / "1"), hub_images(tmp_path / "saved", tmp_path / "2")
        assert one.fingerprint() == other.fingerprint()

    def test_without_a_held_out_split(self, tmp_path: Path) -> None:
        root = write_parquet(tmp_path / "hub", {"train": 60})
        assert "it has train. Set data.target_split" in error_of_data(hub_images(root, tmp_path / "cache"))
        data = hub_images(root, tmp_path / "cache", target_split=None)
        assert data.sizes == {"train": 36, "choose": 12, "target": 12}

    @pytest.mark.parametrize("alone", [False, True], ids=["beside a path", "alone"])
    def test_images_that_are_not_marked_as_such(self, tmp_path: Path, alone: bool) -> None:
        """As another program than the hub's library writes them."""
        root = write_parquet(tmp_path / "hub", label="label", labels="int64")
        marked = hub_images(root, tmp_path / "1").fingerprint()
        for path in (root / "data").iterdir():
            table = pyarrow.parquet.read_table(path).replace_schema_metadata(None)
            if alone:
                table = table.set_column(
                    0, "picture", pyarrow.compute.struct_field(table["picture"], "bytes")
                )
            pyarrow.parquet.write_table(table, path)
        assert hub_images(root, tmp_path / "2").fingerprint() == marked

    @pytest.mark.parametrize("kind", ["string", "int64"])
    def test_labels_that_are_names_or_numbers(self, tmp_path: Path, kind: str) -> None:
        root = write_parquet(tmp_path / "hub", labels=kind, label="label")
        data = hub_images(root, tmp_path / "cache")
        names = tuple(sorted(CLASSES)) if kind == "string" else ("0", "1", "2")
        assert data.preprocessing().classes == names
        told = [names[i] for i in held_out(data)["labels"]]
        assert told == [(CLASSES if kind == "string" else names)[i % 3] for i in range(15)]

    @pytest.mark.parametrize(
        ("files", "changes", "words"),
        [
            ({"label": None}, {}, "data without labels cannot be classified"),
            ({"label": None, "extra": {"caption": "x"}}, {}, "it has the columns picture, caption"),
            ({}, {"label_column": "label"}, "got data.label_column=label"),
            ({}, {"label_column": "picture"}, "must hold class labels, whole numbers or names"),
            ({"extra": {"label": "all alike"}}, {"label_column": "label"}, "at least two classes"),
            ({}, {"image_column": "image"}, "columns of images are: picture"),
            ({}, {"image_column": "kind"}, "columns of images are: picture"),
            ({}, {"train_split": "training"}, "got data.train_split=training"),
            ({"sizes": {"train": 9, "validation": 3}}, {}, "it has train, validation. Set data.target_split"),
            ({}, {"target_split": "train"}, "must differ"),
            ({}, {"config": "large"}, "large"),
        ],
    )
    def test_other_columns_and_splits(
        self, tmp_path: Path, files: dict[str, Any], changes: dict[str, Any], words: str
    ) -> None:
        root = write_parquet(tmp_path / "hub", **files)
        assert words in error_of_data(hub_images(root, tmp_path / "cache", **changes))

    def test_several_configurations(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "hub")
        names = ("small", "large")
        listed = "".join(
            f"- config_name: {each}\n  data_files:\n  - split: train\n    path: data/train-*\n"
            for each in names
        )
        (tmp_path / "hub" / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
        problem = error_of_data(hub_images(tmp_path / "hub", tmp_path / "cache"))
        assert "'small'" in problem
        assert problem.endswith("Set data.config.")
        chosen = hub_images(tmp_path / "hub", tmp_path / "cache", config="large", target_split=None)
        assert chosen.sizes["train"] == 36

    @pytest.mark.parametrize("saved", [False, True], ids=["parquet", "save_to_disk"])
    def test_splits_that_number_their_classes_otherwise(self, saved: bool, tmp_path: Path) -> None:
        """Read by number, bags would count as coats, and nothing would say so."""
        folder = write_parquet(tmp_path / "it", held_out_classes=["bag", "coat", "dress"])
        if saved:
            splits = {
                split: Dataset.from_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
                for split in ("train", "test")
            }
            folder = tmp_path / "saved"
            DatasetDict(splits).save_to_disk(str(folder))
        with pytest.raises(ConfigError, match=r"must number (its|their) classes alike"):
            hub_images(folder, tmp_path / "cache").prepare(quiet)

    def test_a_folder_whose_data_lie_elsewhere(self, tmp_path: Path) -> None:
        elsewhere = write_parquet(tmp_path / "elsewhere") / "data" / "train-00000-of-00001.parquet"
        folder = write_parquet(tmp_path / "it")
        head = f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {elsewhere}\n"
        (folder / "README.md").write_text(f"---\n{head}---\n")
        with pytest.raises(ConfigError, match=r"A folder must hold its data, but the README\.md of"):
            hub_images(folder, tmp_path / "cache", target_split=None).prepare(quiet)

    def test_a_class_without_images(self, tmp_path: Path) -> None:
        folder = write_parquet(tmp_path / "it", {"train": 2, "test": 2})
        with pytest.raises(
            ConfigError, match="Every class must have training images, but 1 of 3 have none: bag"
        ):
            hub_images(folder, tmp_path / "cache").prepare(quiet)

    def test_labels_of_the_held_out_split_that_nobody_knows(self, tmp_path: Path) -> None:
        parts = {
            split: Dataset.from_dict({"image": colour_images(9, seed), "label": labels})
            for seed, (split, labels) in enumerate({"train": [0, 1, 2] * 3, "test": [-1] * 9}.items())
        }
        DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
        problem = error_of_data(hub_images(tmp_path / "saved", tmp_path / "cache"))
        assert "row 0 of the split test" in problem
        assert "null to hold out training images" in problem

    def test_an_image_that_cannot_be_read(self, tmp_path: Path) -> None:
        root = write_parquet(tmp_path / "hub")
        [path] = (root / "data").glob("train-*")
        rows = load_dataset("parquet", data_files=str(path), split="train")
        undecoded = rows.cast_column("picture", datasets.Image(decode=False))
        broken = undecoded.map(
            lambda row, i: {"picture": {"bytes": b"no image", "path": None}} if i == 7 else row,
            with_indices=True,
        )
        broken.to_parquet(str(path))
        assert "row 7 of the split train" in error_of_data(hub_images(root, tmp_path / "cache"))

    def test_an_image_beside_the_data_is_not_followed(self, tmp_path: Path) -> None:
        Image.new("RGB", (16, 16)).save(tmp_path / "secret.png")
        root = write_parquet(tmp_path / "hub")
        [path] = (root / "data").glob("train-*")
        table = pyarrow.parquet.read_table(path)
        cells = pyarrow.array(
            [{"bytes": None, "path": str(tmp_path / "secret.png")}] * len(table), table.schema.field(0).type
        )
        pyarrow.parquet.write_table(table.set_column(0, table.schema.field(0), cells), path)
        problem = error_of_data(hub_images(root, tmp_path / "cache"))
        assert "Every row must hold its image, but row 0 of the split train" in problem

    def test_data_that_are_no_parquet(self, tmp_path: Path) -> None:
        (tmp_path / "hub").mkdir()
        (tmp_path / "hub" / "train.csv").write_text("label,text\n0,a\n1,b\n")
        problem = error_of_data(hub_images(tmp_path / "hub", tmp_path / "cache"))
        assert "must be data in parquet files" in problem
        assert "csv" in problem

    def test_code_that_comes_with_data_is_not_run(self, tmp_path: Path) -> None:
        (tmp_path / "hub").mkdir()
        (tmp_path / "hub" / "hub.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        assert "`data.name` must be" in error_of_data(hub_images(tmp_path / "hub", tmp_path / "cache"))
        assert not (tmp_path / "ran").exists()

    def test_a_name_without_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        problem = error_of_data(hub_images("someone/some-data-that-nobody-has", tmp_path))
        assert "no network, or HF_HUB_OFFLINE is set" in problem
        assert "save_to_disk" in problem

    def test_no_name_and_no_folder(self, tmp_path: Path) -> None:
        assert "`data.name` must name the data" in error_of_data(hub_images(None, tmp_path))
        assert "is not a folder" in error_of_data(hub_images("./nowhere", tmp_path))

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "datasets", None)
        assert "pip install datasets" in error_of_data(hub_images("someone/something", tmp_path))


def exported(made: Preprocessing, folder: Path, images: list[Image.Image]) -> torch.Tensor:
    """Prepare images by the code that an exported model comes with."""
    names: dict[str, Any] = {"model": torch.nn.Identity()}
    path = made.write(folder)
    exec(made.code(path), names)
    return torch.stack([names["preprocess"](image) for image in images])


class TestStem:
    def test_small_images_keep_their_resolution(self) -> None:
        small = TorchvisionResNet50(zero_init_residual=True, classifier_std=0.01, stem="cifar").build(10)
        seen: dict[str, torch.Size] = {}
        small.layer1.register_forward_hook(lambda module, given, made: seen.update(layer1=made.shape))
        assert small.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        assert seen["layer1"] == (1, 256, 32, 32)

    @pytest.mark.parametrize("stem", ["imagenet", "cifar"])
    def test_the_exported_code_takes_the_weights(self, stem: Any) -> None:
        made = TorchvisionResNet50(zero_init_residual=True, classifier_std=0.01, stem=stem)
        names: dict[str, Any] = {}
        exec(made.code(10), names)
        assert "autolrs" not in made.code(10)
        names["model"].load_state_dict(made.build(10).state_dict())


def test_summary_is_strict_json(tmp_path: Path) -> None:
    fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache").prepare(quiet)
    [path] = (tmp_path / "cache").glob("idx_images/*/summary.json")
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
