"""Batches by token count: addressed by position, full, and fair to every length."""

from __future__ import annotations

import pickle
import random
from collections import Counter

import numpy as np
import pytest
import torch
from translation_cases import phrases

from autolrs_cli.contracts import Position
from autolrs_cli.training.loader import TrainLoader
from autolrs_recipes.data.translation.length_buckets import LengthBuckets
from autolrs_recipes.data.translation.pairs import END_ID, PAD_ID
from autolrs_recipes.data.translation.streams import HeldOutPairs, TrainPairs, grouped

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return phrases(tmp_path_factory.mktemp("cache"))


def stream(data, seed=3, micro_batches=2, batch_tokens=300, phase=0, world_size=1) -> TrainPairs:
    return TrainPairs(
        data.prepared.pairs("train"),
        batch_tokens=batch_tokens,
        micro_batches=micro_batches,
        seed=seed,
        phase=phase,
        world_size=world_size,
    )


def rows(*batches) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the pairs of batches, without padding."""
    return [
        tuple(tuple(token for token in side if token != PAD_ID) for side in pair)
        for batch in batches
        for pair in zip(batch["source"].tolist(), batch["target"].tolist(), strict=True)
    ]


def assert_equal(a, b):
    assert a.keys() == b.keys()
    assert all(a[name].equal(b[name]) for name in a)


class TestTrainPairs:
    def test_batch_holds_what_the_contract_says(self, data):
        batch = stream(data).batch(Position(0, 0, 0))
        assert set(batch) == {"source", "target"}
        for side in batch.values():
            assert side.dtype == torch.int64
            assert ((side == END_ID).sum(1) == 1).all()
            lengths = (side != PAD_ID).sum(1)
            assert lengths.max() == side.shape[1]
            assert all((row[length:] == PAD_ID).all() for row, length in zip(side, lengths, strict=True))
            assert all(row[length - 1] == END_ID for row, length in zip(side, lengths, strict=True))

    def test_seeking_anywhere_gives_the_same_batch(self, data):
        positions = [Position(0, step, micro) for step in (0, 1, 2, 50, 1000, 99_999) for micro in range(2)]
        walked = stream(data)
        batches = {p: walked.batch(p) for p in positions}
        for position in reversed(positions):
            assert_equal(stream(data).batch(position), batches[position])
            assert_equal(walked.batch(position), batches[position])

    @pytest.mark.parametrize("workers", [0, 1, 2])
    def test_any_number_of_loader_workers(self, data, workers):
        loader = TrainLoader(stream(data), 0, workers, CPU)
        for step in (7, 8, 9, 2, 3):
            loader.seek(step)
            for micro, batch in enumerate(loader.read()):
                assert_equal(batch, stream(data).batch(Position(0, step, micro)))

    @pytest.mark.parametrize("micro_batches", [1, 2, 3])
    def test_micro_batches_are_slices_of_the_step(self, data, micro_batches):
        whole = rows(stream(data, micro_batches=1).batch(Position(0, 5, 0)))
        cut = stream(data, micro_batches=micro_batches)
        parts = [cut.batch(Position(0, 5, m)) for m in range(micro_batches)]
        assert rows(*parts) == whole
        sizes = [len(part["source"]) for part in parts]
        assert max(sizes) - min(sizes) <= 1

    def test_ranks_are_slices_of_the_step(self, data):
        whole = rows(stream(data, micro_batches=1).batch(Position(0, 5, 0)))
        ranks = stream(data, micro_batches=1, world_size=3)
        assert rows(*(ranks.batch(Position(0, 5, 0, rank)) for rank in range(3))) == whole

    def test_pickled_by_path_and_cheap(self, data):
        original = stream(data)
        original.batch(Position(0, 0, 0))
        sent = pickle.dumps(original)
        assert len(sent) < 2000
        assert_equal(pickle.loads(sent).batch(Position(0, 1, 1)), original.batch(Position(0, 1, 1)))

    def test_seed_and_phase_change_the_order(self, data):
        a, b = stream(data, seed=1).batch(Position(0, 0, 0)), stream(data, seed=2).batch(Position(0, 0, 0))
        c = stream(data, seed=1, phase=1).batch(Position(1, 0, 0))
        assert rows(a) != rows(b)
        assert rows(a) != rows(c)

    def test_global_random_state_is_neither_read_nor_changed(self, data):
        def everything():
            return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

        before = everything()
        a = stream(data).batch(Position(0, 1, 0))
        HeldOutPairs(data.prepared.pairs("choose"), 300).batch(0)
        assert everything() == before
        torch.manual_seed(999)
        assert_equal(stream(data).batch(Position(0, 1, 0)), a)

    def test_no_batch_exceeds_its_tokens_and_most_are_nearly_full(self, data):
        batches = [stream(data, micro_batches=1).batch(Position(0, step, 0)) for step in range(100)]
        tokens = [max(side.numel() for side in batch.values()) for batch in batches]
        assert max(tokens) <= 300
        longer = [max(int((side != PAD_ID).sum()) for side in batch.values()) for batch in batches]
        assert np.mean(longer) > 0.75 * 300

    def test_every_pair_is_seen_about_once_per_epoch(self, data):
        """Over many epochs each pair is seen as often as any other, whatever its length."""
        epochs = 10
        buckets = stream(data).buckets
        seen: Counter[int] = Counter()
        batch = 0
        while sum(seen.values()) < epochs * data.prepared.sizes["train"]:
            seen.update(buckets.examples(batch).tolist())
            batch += 1
        assert len(seen) == data.prepared.sizes["train"]
        assert min(seen.values()) >= epochs - 2
        assert max(seen.values()) <= epochs + 2


class TestLengthBuckets:
    @pytest.mark.parametrize("seed", range(5))
    def test_each_bucket_goes_through_its_examples_epoch_by_epoch(self, seed):
        lengths = np.random.default_rng(seed).integers(2, 60, 500).astype(np.int32)
        buckets = LengthBuckets(lengths, 200, seed, 0)
        given: dict[int, list[int]] = {}
        for batch in range(600):
            examples = buckets.examples(batch)
            bucket = next(b for b, members in enumerate(buckets._members) if examples[0] in members)
            assert len(examples) == buckets.sizes[bucket]
            assert len(examples) * lengths[examples].max() <= 200
            given.setdefault(bucket, []).extend(examples.tolist())
        for bucket, examples in given.items():
            size = len(buckets._members[bucket])
            assert len(examples) >= size
            for first in range(0, len(examples) - size, size):
                assert sorted(examples[first : first + size]) == buckets._members[bucket].tolist()

    def test_one_example_less_than_a_batch(self):
        buckets = LengthBuckets(np.array([5, 9, 7], dtype=np.int32), 1000, 0, 0)
        for batch in range(3):
            counts = Counter(buckets.examples(batch).tolist())
            assert sum(counts.values()) == 111
            assert set(counts.values()) == {37}

    def test_rare_lengths_join_their_neighbours(self):
        lengths = np.array([10] * 200 + [50] + [20] * 200, dtype=np.int32)
        buckets = LengthBuckets(lengths, 400, 0, 0)
        assert len(buckets.sizes) == 2
        assert all(
            len(members) >= size for members, size in zip(buckets._members, buckets.sizes, strict=True)
        )

    def test_a_batch_of_one(self):
        buckets = LengthBuckets(np.array([400, 300], dtype=np.int32), 400, 0, 0)
        assert sorted(int(buckets.examples(i)[0]) for i in range(2)) == [0, 1]


class TestHeldOut:
    def test_every_pair_once_in_fixed_batches(self, data):
        table = data.prepared.pairs("target")
        held_out = HeldOutPairs(table, 200)
        batches = [held_out.batch(i) for i in range(held_out.num_batches)]
        found = rows(*batches)
        expected = [(tuple(table.source[i]), tuple(table.target[i])) for i in range(len(table))]
        assert sorted(found) == sorted(expected)
        assert len(found) == data.prepared.sizes["target"]
        assert all(side.numel() <= 200 for batch in batches for side in batch.values())
        assert_equal(held_out.batch(1), HeldOutPairs(table, 200).batch(1))

    def test_grouping(self):
        assert grouped([2, 3, 3, 9, 30], 9) == [slice(0, 3), slice(3, 4), slice(4, 5)]
        assert grouped([], 9) == []
