"""Translating with beam search, and judging translations by BLEU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, MarianMTModel, StoppingCriteria, StoppingCriteriaList

from autolrs_recipes.data.translation.pairs import END_ID, PAD_ID, Pair
from autolrs_recipes.data.translation.streams import grouped, padded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A translation has at most this many tokens more than its source [Vaswani2017 Sec. 6.1].
EXTRA_TOKENS = 50


@dataclass(frozen=True)
class BeamSearch:
    """Beam search with the length penalty of [Vaswani2017]_ Sec. 6.1, on top of transformers' `generate`.

    A hypothesis of n tokens (its end included) and log-probability p is worth `p / ((5 + n) / 6) ** length_penalty`
    ([Wu2016]_ Eq. 14). `generate` knows only `p / n ** length_penalty`: it searches with that, returns the `beam_size`
    finished hypotheses that it values most, and the best of these by the published value is taken.

    What still differs from the published search: a hypothesis that `generate` values less than `beam_size` other
    finished ones is dropped, though the published value might have preferred it; a sentence is searched until no
    running hypothesis could still enter those `beam_size`, not only until none could become the best; hypotheses
    that reach the greatest length without an end count as finished.

    .. [Wu2016] Wu et al., Google's Neural Machine Translation System, arXiv 1609.08144.

    Args:
        beam_size: hypotheses that are kept at each step.
        length_penalty: exponent; 0: none.
        batch_tokens: tokens of sources and greatest translations per call, padding included.
    """

    beam_size: int
    length_penalty: float
    batch_tokens: int

    def describe(self) -> str:
        """Say how it searches, in words."""
        return (
            f"beam {self.beam_size}; at most {EXTRA_TOKENS} tokens more than the source; length penalty "
            f"((5+n)/6)^{self.length_penalty:g} among the {self.beam_size} finished hypotheses that transformers' "
            f"beam search, which penalizes by n^{self.length_penalty:g}, returns"
        )

    def translate(self, model: MarianMTModel, sentences: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return the tokens of each translation, without its end; batched by length, in the order given.

        Args:
            model: in eval mode.
            sentences: tokens of each source, its end included; longer ones than the model takes are cut.
        """
        longest = model.config.max_position_embeddings
        cut = [list(s) if len(s) <= longest else [*s[: longest - 1], END_ID] for s in sentences]
        order = sorted(range(len(cut)), key=lambda i: len(cut[i]))
        lengths = [len(cut[i]) + EXTRA_TOKENS for i in order]
        translations: list[list[int]] = [[] for _ in cut]
        for batch in grouped(lengths, self.batch_tokens):
            places = order[batch]
            for place, tokens in zip(places, self._best(model, [cut[i] for i in places]), strict=True):
                translations[place] = tokens
        return translations

    def _best(self, model: MarianMTModel, sentences: list[list[int]]) -> Iterator[list[int]]:
        hypotheses, values = self.hypotheses(model, padded(sentences).to(model.device))
        best = values.argmax(dim=1).tolist()
        for of_sentence, choice in zip(hypotheses, best, strict=True):
            tokens = of_sentence[choice]
            yield tokens[:-1] if tokens and tokens[-1] == END_ID else tokens

    @torch.no_grad()
    def hypotheses(self, model: MarianMTModel, source: Tensor) -> tuple[list[list[list[int]]], Tensor]:
        """Return the finished hypotheses of each sentence, ends included, and their values, float32 [B, beam_size].

        Args:
            model: in eval mode.
            source: int64 [B, S], padded.
        """
        limits = ((source != PAD_ID).sum(dim=1) + EXTRA_TOKENS).clamp(
            max=model.config.max_position_embeddings - 1
        )
        generator: Any = model  # releases of transformers type `generate` differently
        found = generator.generate(
            input_ids=source,
            attention_mask=source != PAD_ID,
            generation_config=self._settings(int(limits.max())),
            stopping_criteria=StoppingCriteriaList([_AtLimit(limits)]),
        )
        tokens = found.sequences[:, 1:]  # the first is the start
        ended = tokens == END_ID
        lengths = torch.where(ended.any(dim=1), ended.int().argmax(dim=1) + 1, tokens.shape[1])
        # What follows a hypothesis is filled up, without an end too where it ran into its limit.
        lengths = lengths.minimum(limits.repeat_interleave(self.beam_size))
        rows = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
        beams = [rows[i : i + self.beam_size] for i in range(0, len(rows), self.beam_size)]
        return beams, self._values(found, lengths).view(-1, self.beam_size)

    def _values(self, found: Any, lengths: Tensor) -> Tensor:
        """Return the published value of each hypothesis; one beam is a greedy search, with nothing to compare."""
        if self.beam_size == 1:
            return torch.zeros(lengths.shape)
        log_probability = found.sequences_scores * lengths**self.length_penalty
        values: Tensor = log_probability / ((5 + lengths) / 6) ** self.length_penalty
        return values

    def _settings(self, most_tokens: int) -> GenerationConfig:
        beams = {
            "num_beams": self.beam_size,
            "num_return_sequences": self.beam_size,
            "length_penalty": self.length_penalty,
            # Whether a running hypothesis could still win is asked of its greatest length, as published.
            "early_stopping": "never",
            "output_scores": True,
        }
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_length=most_tokens + 1,  # and the start
            do_sample=False,
            pad_token_id=PAD_ID,
            eos_token_id=END_ID,
            decoder_start_token_id=PAD_ID,
            return_dict_in_generate=True,
            **(beams if self.beam_size > 1 else {}),
        )


class _AtLimit(StoppingCriteria):
    """Ends the hypotheses of each sentence at a length of its own, so that batches do not matter."""

    def __init__(self, limits: Tensor) -> None:
        self.limits = limits

    def __call__(self, input_ids: Tensor, *_: Any, **__: Any) -> Any:
        hypotheses = len(input_ids) // len(self.limits)
        return input_ids.shape[1] - 1 >= self.limits.repeat_interleave(hypotheses)


@dataclass(frozen=True)
class Bleu:
    """BLEU of a corpus, in percent, and how it was computed."""

    score: float
    signature: str


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Bleu:
    """Return sacrebleu's corpus BLEU with its default tokenizer; case counts."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Bleu(score, str(metric.get_signature()))


def spread(pairs: Sequence[Pair], count: int | None) -> list[Pair]:
    """Return `count` of the pairs, spread evenly over all; None, or more than there are: all."""
    if count is None or count >= len(pairs):
        return list(pairs)
    return [pairs[i * len(pairs) // count] for i in range(count)]


def encoded(tokenizer: Tokenizer, sentences: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each sentence, its end included."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(sentences))]
