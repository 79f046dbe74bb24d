"""Beam search against exhaustive search, its values against teacher forcing, and BLEU."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from translation_cases import model

from autolrs_recipes.data.translation.pairs import END_ID, PAD_ID
from autolrs_recipes.models.beam_search import BeamSearch, bleu, spread

VOCABULARY = 6


def network(seed=0, max_length=20, vocab_size=VOCABULARY, end_bias=1.5):
    """Return an untrained model whose hypotheses are of many lengths."""
    torch.manual_seed(seed)
    built = model(max_length=max_length).build(vocab_size=vocab_size, pad_id=PAD_ID, end_id=END_ID).eval()
    with torch.no_grad():
        built.final_logits_bias.normal_()
        built.final_logits_bias[0, END_ID] += end_bias
        built.lm_head.weight = torch.nn.Parameter(torch.randn_like(built.lm_head.weight) / 4)
    return built


@torch.no_grad()
def log_probability(built, source: list[int], hypothesis: list[int]) -> float:
    """Return the sum of the log-probabilities of a hypothesis' tokens, one sentence, no cache, no padding."""
    told = torch.tensor([[PAD_ID, *hypothesis[:-1]]])
    logits = built(input_ids=torch.tensor([source]), decoder_input_ids=told, use_cache=False).logits[0]
    steps = logits.double().log_softmax(-1)
    return float(sum(steps[place, token] for place, token in enumerate(hypothesis)))


def published_value(built, source, hypothesis, penalty) -> float:
    return log_probability(built, source, hypothesis) / ((5 + len(hypothesis)) / 6) ** penalty


def sources(seed=0, count=7, vocab_size=VOCABULARY) -> list[list[int]]:
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (count,), generator=draws).tolist()
    return [[*torch.randint(2, vocab_size, (n,), generator=draws).tolist(), END_ID] for n in lengths]


class TestBeamSearch:
    @pytest.mark.parametrize("penalty", [0.0, 0.6, 1.5])
    @pytest.mark.parametrize("seed", range(3))
    def test_values_are_the_published_ones_of_teacher_forced_log_probabilities(self, seed, penalty):
        built, search = network(seed), BeamSearch(4, penalty, 10_000)
        batch = sources(seed)
        width = max(map(len, batch))
        padded = torch.tensor([[*source, *[PAD_ID] * (width - len(source))] for source in batch])
        hypotheses, values = search.hypotheses(built, padded)
        assert values.shape == (7, 4)
        lengths = set()
        for source, beams, row in zip(batch, hypotheses, values.tolist(), strict=True):
            assert len({tuple(beam) for beam in beams}) == 4
            for beam, value in zip(beams, row, strict=True):
                lengths.add(len(beam))
                assert value == pytest.approx(published_value(built, source, beam, penalty), rel=1e-4)
        assert len(lengths) > 1

    @pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
    @pytest.mark.parametrize("seed", range(3))
    def test_a_beam_wide_enough_finds_the_best_of_all(self, seed, penalty):
        built, most = network(seed, max_length=4), 3
        source = [2, 3, 4, END_ID]
        others = [token for token in range(VOCABULARY) if token != END_ID]
        candidates = [
            [*tokens, END_ID] for length in range(most) for tokens in product(others, repeat=length)
        ] + [list(tokens) for tokens in product(others, repeat=most)]
        best = max(candidates, key=lambda tokens: published_value(built, source, tokens, penalty))
        (found,) = BeamSearch(len(candidates), penalty, 10_000).translate(built, [source])
        assert found == (best[:-1] if best[-1] == END_ID else best)

    def test_the_published_penalty_decides_among_what_is_returned(self):
        search, differs = BeamSearch(4, 1.0, 10_000), 0
        for seed in range(3):
            built = network(seed)
            for source in sources(seed):
                hypotheses, values = search.hypotheses(built, torch.tensor([source]))
                best = hypotheses[0][int(values[0].argmax())]
                (found,) = search.translate(built, [source])
                assert [*found, END_ID][: len(best)] == best
                by_plain_length = max(hypotheses[0], key=lambda h: log_probability(built, source, h) / len(h))
                differs += by_plain_length != best
        assert differs > 0

    def test_order_and_batches_do_not_matter(self):
        built, batch = network(1, vocab_size=40), sources(1, 12, 40)
        together = BeamSearch(4, 0.6, 10_000).translate(built, batch)
        apart = BeamSearch(4, 0.6, 60).translate(built, batch[::-1])[::-1]
        assert together == apart

    def test_a_translation_has_at_most_fifty_tokens_more_than_its_source(self):
        built = network(0, max_length=128)
        with torch.no_grad():  # it never ends
            built.final_logits_bias[0, END_ID] = -100
        (found,) = BeamSearch(2, 0.6, 10_000).translate(built, [[2, 3, END_ID]])
        assert len(found) == 53

    def test_sources_longer_than_the_model_are_cut(self):
        built = network(0, max_length=8)
        long = [2] * 30
        (found,) = BeamSearch(2, 0.6, 100).translate(built, [[*long, END_ID]])
        assert len(found) <= 7
        assert [found] == BeamSearch(2, 0.6, 100).translate(built, [[*long[:7], END_ID]])

    def test_one_beam_is_a_greedy_search(self):
        built = network(3)
        for source, found in zip(
            sources(3), BeamSearch(1, 0.6, 10_000).translate(built, sources(3)), strict=True
        ):
            told, guess = [PAD_ID], None
            while guess != END_ID and len(told) < 20:
                logits = built(
                    input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([told])
                ).logits
                guess = int(logits[0, -1].argmax())
                told.append(guess)
            assert found == [token for token in told[1:] if token != END_ID]

    def test_no_random_state_is_used_and_the_answer_is_the_same(self):
        built, search = network(2), BeamSearch(4, 0.6, 10_000)
        torch.use_deterministic_algorithms(True)
        try:
            before = torch.get_rng_state()
            first = search.translate(built, sources(2))
            assert torch.get_rng_state().equal(before)
            assert search.translate(built, sources(2)) == first
        finally:
            torch.use_deterministic_algorithms(False)

    def test_nothing_to_translate(self):
        assert BeamSearch(4, 0.6, 100).translate(network(), []) == []


class TestBleu:
    def test_a_known_score(self):
        # Precisions 5/6, 3/5, 2/4, 1/3; as long as the reference.
        found = bleu(["the cat sat on the mat"], ["the cat sits on the mat"])
        assert found.score == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25, rel=1e-6)
        assert "tok:13a" in found.signature
        assert "case:mixed" in found.signature

    def test_ends(self):
        assert bleu(["Guten Tag allerseits."], ["Guten Tag allerseits."]).score == pytest.approx(100)
        assert bleu(["", ""], ["Guten Tag.", "Gute Nacht."]).score == 0

    def test_spread(self):
        pairs = [(str(i), str(i)) for i in range(10)]
        assert [p[0] for p in spread(pairs, 4)] == ["0", "2", "5", "7"]
        assert spread(pairs, None) == spread(pairs, 99) == pairs
