"""Sentence pairs, masks and their streams, against their definitions."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from pretraining_cases import documents, recipe, text_files, write_documents

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.training.loader import TrainLoader, read_all
from autolrs_recipes.data.pretraining.masking import MaskDraws, mask, masked_counts
from autolrs_recipes.data.pretraining.sentence_pairs import truncated
from autolrs_recipes.data.pretraining.streams import FOLLOWS, HeldOutSentencePairs, Task, TrainSentencePairs
from autolrs_recipes.data.pretraining.wordpiece import CLS, FIRST_WORD, MASK, PAD, SEP
from autolrs_recipes.data.scattered_order import ScatteredOrder

VOCABULARY = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("streams")
    return text_files(root / "cache", write_documents(root / "text.txt", documents(120)))


@pytest.fixture(scope="module")
def table(data):
    return data.sentences("train")


def stream(table, *, length=32, seed=3, phase=0, micro_batch=4, global_batch=12, world_size=1, **task):
    settings = Task(length, task.get("mask_fraction", 0.15), VOCABULARY)
    return TrainSentencePairs(
        table,
        settings,
        seed=seed,
        phase=phase,
        global_batch=global_batch,
        micro_batch=micro_batch,
        world_size=world_size,
    )


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def unmasked(batch: Batch) -> torch.Tensor:
    tokens = batch["input_ids"].clone()
    tokens.view(-1)[batch["masked_positions"]] = batch["masked_tokens"]
    return tokens


class TestOrder:
    @pytest.mark.parametrize("num_examples", [1, 2, 7, 64, 1000])
    def test_each_example_once_per_epoch_and_in_another_order(self, num_examples):
        order = ScatteredOrder(num_examples, seed=0, phase=0)
        epochs = order.examples(0, 4 * num_examples).reshape(4, num_examples)
        assert (np.sort(epochs, axis=1) == np.arange(num_examples)).all()
        if num_examples >= 64:
            assert len({tuple(epoch) for epoch in epochs}) == 4

    def test_any_place_can_be_asked_for_alone(self):
        order = ScatteredOrder(1000, seed=0, phase=0)
        whole = order.examples(0, 20_000)
        for first, count in ((19_000, 1000), (0, 1), (4095, 3), (998, 7), (8191, 2)):
            fresh = ScatteredOrder(1000, seed=0, phase=0)
            assert (fresh.examples(first, count) == whole[first : first + count]).all()

    def test_it_looks_random(self):
        n = 20_000
        order = ScatteredOrder(n, seed=5, phase=1).examples(0, n)
        places = np.arange(n)
        # Under a random permutation the correlation has a deviation of 1 / sqrt(n) = 0.007.
        assert abs(np.corrcoef(places, order)[0, 1]) < 0.03
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03
        counts, _ = np.histogram(np.diff(order) % n, bins=50)
        assert abs(counts - n / 50).max() < 5 * np.sqrt(n / 50)

    def test_seed_and_phase_change_it(self):
        first = ScatteredOrder(500, seed=0, phase=0).examples(0, 500)
        assert (first != ScatteredOrder(500, seed=1, phase=0).examples(0, 500)).any()
        assert (first != ScatteredOrder(500, seed=0, phase=1).examples(0, 500)).any()

    def test_a_corpus_of_any_size_takes_no_memory(self):
        order = ScatteredOrder(10**10, seed=0, phase=0)
        found = order.examples(5 * 10**9, 5000)
        assert len(set(found.tolist())) == 5000
        assert found.min() >= 0
        assert found.max() < 10**10


class TestPairs:
    def test_follows_or_comes_from_another_document(self, table):
        seen, one = set(), stream(table)
        for step in range(40):
            pairs = one.step(step).pairs
            document_a, document_b = table.documents(pairs.a.first), table.documents(pairs.b.first)
            assert (pairs.b.first[pairs.follows] == pairs.a.end[pairs.follows]).all()
            assert (document_a == document_b)[pairs.follows].all()
            assert (document_a != document_b)[~pairs.follows].all()
            for segments, document in ((pairs.a, document_a), (pairs.b, document_b)):
                assert (segments.end > segments.first).all()
                assert (segments.end <= table.first_sentences[document + 1]).all()
            seen |= set(document_b[~pairs.follows].tolist())
        assert len(seen) > 0.8 * table.num_documents

    def test_half_follow(self, table):
        one = stream(table)
        follows = np.concatenate([one.step(s).pairs.follows for s in range(1000)])
        assert abs(follows.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(follows))

    def test_every_sentence_that_has_a_next_one_is_an_anchor_once_per_epoch(self, table):
        one = stream(table, global_batch=table.num_anchors, micro_batch=table.num_anchors)
        anchors = np.sort(one.step(0).pairs.a.first)
        last = table.first_sentences[1:] - 1
        assert (anchors == np.setdiff1d(np.arange(table.num_sentences), last)).all()

    @pytest.mark.parametrize("length", [5, 12, 33, 64])
    def test_no_longer_than_asked_and_mostly_full(self, table, length):
        lengths = np.concatenate([stream(table, length=length).step(s).pairs.lengths for s in range(50)])
        assert lengths.max() == length - 3
        assert lengths.min() >= 2
        if length == 12:  # documents end before long ones are full
            assert 0.8 < (lengths == length - 3).mean() < 1

    def test_truncated_as_the_longer_one_loses_token_after_token(self):
        def literal(a: int, b: int, room: int) -> tuple[int, int]:
            while a + b > room:
                a, b = (a - 1, b) if a > b else (a, b - 1)
            return a, b

        for room in (2, 3, 7, 10):
            sizes = np.array([[a, b] for a in range(1, 15) for b in range(1, 15)]).T
            expected = [literal(a, b, room) for a, b in sizes.T.tolist()]
            assert truncated(sizes, room).T.tolist() == [list(pair) for pair in expected]

    def test_tokens_go_at_the_front_and_at_the_back(self, table):
        one = stream(table, length=12)
        pairs = [one.step(s).pairs for s in range(300)]
        skip = np.concatenate([p.a.skip for p in pairs])
        size = np.concatenate([table.first_tokens[p.a.end] - table.first_tokens[p.a.first] for p in pairs])
        cut_off = size - np.concatenate([p.a.length for p in pairs])
        assert (skip <= cut_off).all()
        assert abs(skip.sum() / cut_off.sum() - 0.5) < 4 * 0.5 / np.sqrt(cut_off.sum())


class TestMasks:
    def counts(self, table, steps=150) -> dict[str, float]:
        totals: dict[str, float] = dict.fromkeys(("masked", "tokens", "hidden", "kept"), 0)
        one = stream(table, micro_batch=12, length=48)
        for step in range(steps):
            batch = one.batch(Position(0, step, 0))
            shown = batch["input_ids"].view(-1)[batch["masked_positions"]]
            totals["masked"] += len(shown)
            totals["tokens"] += int((one.step(step).pairs.lengths).sum())
            totals["hidden"] += int((shown == MASK).sum())
            totals["kept"] += int((shown == batch["masked_tokens"]).sum())
        return totals

    def test_rates(self, table):
        totals = self.counts(table)
        masked = totals["masked"]
        assert masked / totals["tokens"] == pytest.approx(0.15, abs=0.01)  # rounded per sequence
        # A random token is by chance the right one once in VOCABULARY.
        for name, share in (("hidden", 0.8), ("kept", 0.1 + 0.1 / VOCABULARY)):
            deviation = np.sqrt(share * (1 - share) / masked)
            assert abs(totals[name] / masked - share) < 4 * deviation, name

    def test_counts_follow_their_definition(self):
        lengths = np.array([2, 3, 9, 10, 100, 125])
        assert masked_counts(lengths, 0.15).tolist() == [1, 1, 1, 2, 15, 19]

    def test_special_tokens_are_never_masked(self, table):
        one = stream(table, micro_batch=12, length=16)
        for step in range(100):
            batch = one.batch(Position(0, step, 0))
            assert (batch["masked_tokens"] >= FIRST_WORD).logical_or(batch["masked_tokens"] == 1).all()
            assert (batch["input_ids"][:, 0] == CLS).all()
            assert ((batch["input_ids"] == SEP).sum(1) == 2).all()

    def test_every_token_is_masked_equally_often(self):
        stream_, rows, width, count = torch.Generator().manual_seed(0), 4000, 12, 3
        draws = MaskDraws.draw((rows, width + 4), count, VOCABULARY, stream_)
        maskable = np.ones((rows, width), dtype=bool)
        maskable[:, [0, 5]] = False
        tokens = np.full((rows, width), 50)
        positions, originals = mask(tokens, maskable, np.full(rows, count), draws)
        assert (originals == 50).all()
        assert len(set(positions.tolist())) == rows * count
        times = np.bincount(positions % width, minlength=width)
        assert times[[0, 5]].tolist() == [0, 0]
        share = count / 10
        assert abs(times[maskable[0]] / rows - share).max() < 5 * np.sqrt(share * (1 - share) / rows)

    def test_random_tokens_are_words(self):
        draws = MaskDraws.draw((2000, 4), 4, 9, torch.Generator().manual_seed(0))
        assert set(draws.words.ravel().tolist()) == set(range(FIRST_WORD, 9))


def segment_tokens(table, segments, pair):
    """Read a segment sentence by sentence."""
    sentences = range(segments.first[pair], segments.end[pair])
    joined = [token for sentence in sentences for token in table.tokens(sentence, sentence + 1).tolist()]
    return joined[segments.skip[pair] :][: segments.length[pair]]


class TestBatches:
    def test_layout(self, table):
        batch = stream(table, length=48).batch(Position(0, 0, 1))
        tokens, types, attention = unmasked(batch), batch["token_type_ids"], batch["attention_mask"]
        pairs = stream(table, length=48).step(0).pairs
        for row, pair in enumerate(range(4, 8)):
            a, b = (segment_tokens(table, segments, pair) for segments in (pairs.a, pairs.b))
            expected = [CLS, *a, SEP, *b, SEP]
            padding = tokens.shape[1] - len(expected)
            assert tokens[row].tolist() == expected + [PAD] * padding
            assert types[row].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1) + [0] * padding
            assert attention[row].tolist() == [1] * len(expected) + [0] * padding
            assert (batch["next_sentence_label"][row] == FOLLOWS) == pairs.follows[pair]
        assert all(t.dtype == torch.int64 for name, t in batch.items() if name != "pairs_per_mask")

    def test_padded_to_the_longest_of_the_micro_batch(self, table):
        one = stream(table, length=200, micro_batch=2)
        for step in range(20):
            batch = one.batch(Position(0, step, 0))
            assert batch["attention_mask"].sum(1).max() == batch["input_ids"].shape[1]

    def test_a_pair_weighs_what_the_global_batch_says(self, table):
        one = stream(table)
        parts = [one.batch(Position(0, 2, micro)) for micro in range(3)]
        masked = sum(len(part["masked_tokens"]) for part in parts)
        assert {float(part["pairs_per_mask"]) for part in parts} == {float(np.float32(12 / masked))}

    def test_content_is_the_same_for_any_micro_batch_and_number_of_ranks(self, table):
        def rows(micro_batch, world_size):
            one = stream(table, micro_batch=micro_batch, world_size=world_size)
            found = []
            for rank in range(world_size):
                for micro in range(one.micro_batches):
                    batch = one.batch(Position(0, 7, micro, rank))
                    found += [
                        (ids[seen.bool()].tolist(), int(label))
                        for ids, seen, label in zip(
                            batch["input_ids"],
                            batch["attention_mask"],
                            batch["next_sentence_label"],
                            strict=True,
                        )
                    ]
            return found

        assert rows(12, 1) == rows(4, 1) == rows(3, 2) == rows(1, 4)


class TestStreams:
    @pytest.mark.parametrize("phase", [0, 1])
    @pytest.mark.parametrize("workers", [0, 1, 2])
    def test_bit_equal_after_seeking_to_any_position(self, table, phase, workers):
        one = stream(table, phase=phase, length=24 + 24 * phase)
        expected = {
            step: [one.batch(Position(phase, step, micro)) for micro in range(3)]
            for step in (0, 1, 5, 6, 400)
        }
        fresh = stream(table, phase=phase, length=24 + 24 * phase)
        loader = TrainLoader(fresh, phase, workers, torch.device("cpu"))
        for step in (5, 6, 0, 1, 400, 5):
            loader.seek(step)
            for got, wanted in zip(loader.read(), expected[step], strict=True):
                assert_equal(got, wanted)

    def test_seed_phase_and_step_change_the_content(self, table):
        first = stream(table).batch(Position(0, 0, 0))["input_ids"]
        for other in (
            stream(table, seed=4).batch(Position(0, 0, 0)),
            stream(table, phase=1).batch(Position(1, 0, 0)),
            stream(table).batch(Position(0, 1, 0)),
            stream(table).batch(Position(0, 0, 1)),
        ):
            assert other["input_ids"].shape != first.shape or not torch.equal(other["input_ids"], first)

    def test_global_random_state_is_neither_read_nor_changed(self, table):
        def states():
            return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

        before = states()
        one = stream(table).batch(Position(0, 3, 0))
        assert states() == before
        torch.manual_seed(99)
        assert_equal(stream(table).batch(Position(0, 3, 0)), one)

    def test_a_pickled_stream_is_small_and_the_same(self, table):
        one = stream(table)
        one.batch(Position(0, 0, 0))
        packed = pickle.dumps(one)
        assert len(packed) < 2000
        assert_equal(pickle.loads(packed).batch(Position(0, 9, 1)), one.batch(Position(0, 9, 1)))

    def test_held_out_pairs_are_fixed_for_every_seed_and_worker(self, data):
        held = HeldOutSentencePairs(data.sentences("target"), Task(24, 0.15, VOCABULARY), 30, 7)
        assert held.num_batches == 5
        batches = [held.batch(i) for i in range(5)]
        assert [len(b["input_ids"]) for b in batches] == [7, 7, 7, 7, 2]
        again = pickle.loads(pickle.dumps(held))
        for got, wanted in zip(read_all(again, 2, torch.device("cpu")), batches, strict=True):
            assert_equal(got, wanted)
        assert len({float(b["pairs_per_mask"]) for b in batches}) == 1
        one, other = recipe(data), recipe(data)
        assert_equal(one.eval_stream("choose").batch(1), other.eval_stream("choose").batch(1))

    def test_more_held_out_pairs_than_sentences(self, data):
        table = data.sentences("choose")
        held = HeldOutSentencePairs(table, Task(24, 0.15, VOCABULARY), 3 * table.num_anchors + 1, 50)
        first = held.pairs().pairs.a.first
        assert np.bincount(first).max() <= 4
