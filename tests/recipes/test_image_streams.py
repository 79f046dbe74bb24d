"""What every image data set promises: batches are functions of (seed, position), and of nothing else."""

from __future__ import annotations

import dataclasses
import pickle
import random

import numpy as np
import pytest
import torch
from stored_cases import fashion_mnist, hub_images, write_idx, write_parquet
from torch.utils.data import DataLoader, Dataset

from autolrs_cli.contracts import Batch, Position
from autolrs_recipes.data.epoch_order import EpochOrder
from autolrs_recipes.data.images.streams import HeldOutImages, TrainImages
from autolrs_recipes.data.splits import rank_in_class


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def joined(batches: list[Batch]) -> Batch:
    return {name: torch.cat([b[name] for b in batches]) for name in batches[0]}


class Positions(Dataset):
    def __init__(self, stream, positions):
        self.stream, self.positions = stream, positions

    def __len__(self):
        return len(self.positions)

    def __getitem__(self, i):
        return self.stream.batch(self.positions[i])


@pytest.fixture(scope="module")
def of_the_hub(tmp_path_factory):
    return write_parquet(tmp_path_factory.mktemp("hub"))


@pytest.fixture(
    params=["digits", "glyphs", "image_folder", "fashion_mnist", "hub_images", "hub_images cropped"]
)
def data(request, digits, glyphs, folder, image_root, of_the_hub, tmp_path):
    made = {
        "digits": digits,
        "glyphs": lambda: glyphs(augment_pixels=3),
        "image_folder": lambda: folder(image_root),
        "fashion_mnist": lambda: fashion_mnist(write_idx(tmp_path / "idx"), tmp_path / "cache"),
        "hub_images": lambda: hub_images(of_the_hub, tmp_path / "cache"),
        "hub_images cropped": lambda: hub_images(
            of_the_hub, tmp_path / "cache", least_area=0.2, pad_pixels=0, target_split=None
        ),
    }
    return made[request.param]()


def stream(data, seed=3, micro_batch=6, global_batch=12, phase=0, world_size=1) -> TrainImages:
    return TrainImages(
        data.reader("train"),
        seed=seed,
        phase=phase,
        global_batch=global_batch,
        micro_batch=micro_batch,
        world_size=world_size,
    )


def test_batch_holds_what_the_contract_says(data):
    batch = stream(data).batch(Position(0, 0, 0))
    images = batch["images"]
    assert images.shape == (6, 3, data.image_size, data.image_size)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert -3 < images.mean() < 3
    assert batch["labels"].dtype == batch["ids"].dtype == torch.int64
    assert batch["labels"].max() < data.num_classes


def test_seeking_anywhere_gives_the_same_batch(data):
    positions = [Position(0, step, micro) for step in range(4) for micro in range(2)]
    walked = stream(data)
    batches = {p: walked.batch(p) for p in positions}
    for position in reversed(positions):
        assert_equal(stream(data).batch(position), batches[position])
        assert_equal(walked.batch(position), batches[position])


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 12])
def test_micro_batches_are_slices_of_the_global_batch(data, micro_batch):
    reference = stream(data, micro_batch=12).batch(Position(0, 2, 0))
    cut = stream(data, micro_batch=micro_batch)
    assert cut.micro_batches == 12 // micro_batch
    assert_equal(joined([cut.batch(Position(0, 2, m)) for m in range(cut.micro_batches)]), reference)


def test_ranks_are_slices_of_the_global_batch(data):
    reference = stream(data, micro_batch=12).batch(Position(0, 2, 0))
    ranks = stream(data, micro_batch=3, world_size=2)
    parts = [ranks.batch(Position(0, 2, m, rank)) for rank in range(2) for m in range(ranks.micro_batches)]
    assert_equal(joined(parts), reference)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_loader_workers(data, workers):
    positions = [Position(0, step, micro) for step in range(3) for micro in range(2)]
    loader = DataLoader(Positions(stream(data), positions), batch_size=None, num_workers=workers)
    for position, batch in zip(positions, loader, strict=True):
        assert_equal(batch, stream(data).batch(position))


@pytest.mark.slow
def test_spawned_workers(data):
    positions = [Position(0, step, 0) for step in range(2)]
    loader = DataLoader(
        Positions(stream(data), positions), batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    for position, batch in zip(positions, loader, strict=True):
        assert_equal(batch, stream(data).batch(position))


def test_pickle_round_trip(data):
    original = stream(data)
    original.batch(Position(0, 0, 0))
    assert_equal(
        pickle.loads(pickle.dumps(original)).batch(Position(0, 1, 1)), original.batch(Position(0, 1, 1))
    )


def test_seeds_and_phases_change_order_and_augmentation_but_not_the_split(data):
    a, b = stream(data, seed=1).batch(Position(0, 0, 0)), stream(data, seed=2).batch(Position(0, 0, 0))
    c = stream(data, seed=1, phase=1).batch(Position(1, 0, 0))
    assert a["ids"].tolist() != b["ids"].tolist()
    assert a["ids"].tolist() != c["ids"].tolist()
    seen = [set(), set()]
    for seed in range(2):
        one_epoch = stream(data, seed=seed, global_batch=len(data.reader("train")), micro_batch=1)
        for m in range(one_epoch.micro_batches):
            seen[seed].update(one_epoch.order.examples(m, 1).tolist())
    assert seen[0] == seen[1]


def test_same_image_is_augmented_differently_in_every_epoch(data):
    size = len(data.reader("train"))
    epochs = stream(data, global_batch=size, micro_batch=size)
    first, second = epochs.batch(Position(0, 0, 0)), epochs.batch(Position(0, 1, 0))
    assert sorted(first["ids"].tolist()) == sorted(second["ids"].tolist())
    i, j = first["ids"].argmin(), second["ids"].argmin()
    assert not torch.equal(first["images"][i], second["images"][j])


def test_global_random_state_is_neither_read_nor_changed(data):
    def everything():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    before = everything()
    a = stream(data).batch(Position(0, 1, 0))
    HeldOutImages(data.reader("choose"), 4).batch(0)
    assert everything() == before
    torch.manual_seed(999)
    random.seed(999)
    assert_equal(stream(data).batch(Position(0, 1, 0)), a)


def test_slices_are_disjoint_and_complete(data):
    ids, pixels = [], []
    for name in ("train", "choose", "target"):
        held = HeldOutImages(data.reader(name), 64)
        batches = joined([held.batch(i) for i in range(held.num_batches)])
        assert len(batches["ids"]) == data.sizes[name] > 0
        assert set(batches["labels"].tolist()) == set(range(data.num_classes))
        ids += batches["ids"].tolist()
        pixels += [image.numpy().tobytes() for image in batches["images"]]
    assert len(set(ids)) == len(ids) == sum(data.sizes.values())
    assert len(set(pixels)) == len(pixels)


def test_held_out_batches_are_fixed_and_the_last_is_smaller(data):
    held = HeldOutImages(data.reader("target"), 7)
    sizes = [len(held.batch(i)["labels"]) for i in range(held.num_batches)]
    assert sum(sizes) == data.sizes["target"]
    assert set(sizes[:-1]) == {7}
    assert_equal(held.batch(0), held.batch(0))


@pytest.mark.parametrize("data", ["digits", "image_folder", "fashion_mnist", "hub_images"], indirect=True)
def test_fingerprint_follows_the_split_and_not_the_settings_of_augmentation(data):
    def changed(**settings):
        fields = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
        return type(data)(**{**fields, **settings}).fingerprint()

    assert changed() == data.fingerprint()
    assert changed(image_size=48) == data.fingerprint()
    assert changed(choose_fraction=0.4) != data.fingerprint()


class TestEpochOrder:
    @pytest.mark.parametrize("chunk", [1, 3, 7, 25])
    def test_each_example_once_per_epoch(self, chunk):
        order = EpochOrder(10, seed=0, phase=0)
        count = 50
        places = torch.cat(
            [order.examples(first, min(chunk, count - first)) for first in range(0, count, chunk)]
        )
        epochs = places.view(5, 10)
        assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
        assert len({tuple(epoch.tolist()) for epoch in epochs}) == 5

    def test_keeps_only_two_permutations(self):
        order = EpochOrder(10, seed=0, phase=0)
        for epoch in range(20):
            order.examples(10 * epoch, 10)
        assert len(order._cache) == 2


class TestRankInClass:
    def test_ranks_by_key_within_a_label(self):
        keys = np.array([5, 1, 3, 0, 9], dtype=np.uint64)
        labels = np.array([0, 0, 0, 1, 1])
        assert rank_in_class(keys, labels).tolist() == [2, 0, 1, 0, 1]

    def test_duplicates_share_a_rank_so_no_border_parts_them(self):
        keys = np.array([4, 4, 4, 9], dtype=np.uint64)
        assert rank_in_class(keys, np.zeros(4, dtype=np.int64)).tolist() == [0, 0, 0, 3]

    def test_equal_keys_of_different_labels_are_no_duplicates(self):
        keys = np.array([0, 0], dtype=np.uint64)
        assert rank_in_class(keys, np.array([0, 1])).tolist() == [0, 0]
