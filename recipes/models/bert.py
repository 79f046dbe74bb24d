"""BERT's encoder with both pre-training heads, as transformers has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from autolrs_cli.contracts import Batch
from autolrs_cli.values import PositiveInt, checked
from autolrs_recipes.data.pretraining.sentence_pairs import LEAST_LENGTH
from autolrs_recipes.data.pretraining.wordpiece import PAD
from autolrs_recipes.models.bert_forward import encoded
from autolrs_recipes.models.layers import linear

if TYPE_CHECKING:
    from transformers import BertForPreTraining


@checked
@dataclass(frozen=True, kw_only=True)
class PretrainingBert:
    """transformers' `BertForPreTraining`, with fresh weights.

    Args:
        hidden: width of the encoder.
        layers: of the encoder.
        heads: of attention per layer; divide `hidden`.
        intermediate: width within each layer's feed-forward network.
        dropout: of the embeddings, of attention and of each layer's outputs.
        max_length: longest sequence in tokens, which has positions of its own.
        initial_deviation: of the normal distribution that weights are drawn from; the published 0.02 suits a width of
            768, where a matrix keeps the scale of its inputs at about 768^-0.5 = 0.036; narrower models want more.
    """

    hidden: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    intermediate: PositiveInt
    dropout: Annotated[float, Field(strict=True, ge=0, le=0.99)]
    max_length: Annotated[int, Field(strict=True, ge=LEAST_LENGTH)]
    initial_deviation: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.02

    def describe(self) -> str:
        """Say what the model is, in words."""
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        return f"BERT (transformers) with {layers} of {self.hidden} and {self.heads} heads"

    def problems(self) -> list[str]:
        """Return every problem with the settings."""
        if self.hidden % self.heads == 0:
            return []
        return [
            f"`heads` must divide `hidden`, but got model.heads={self.heads}, model.hidden={self.hidden}. "
            "Set model.heads."
        ]

    def build(self, vocab_size: int) -> BertForPreTraining:
        """Build it; weights are drawn from a normal distribution (which the public code cuts off at 2 deviations)."""
        from transformers import BertConfig, BertForPreTraining

        return BertForPreTraining(
            BertConfig(
                vocab_size=vocab_size,
                hidden_size=self.hidden,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                intermediate_size=self.intermediate,
                hidden_act="gelu",
                hidden_dropout_prob=self.dropout,
                attention_probs_dropout_prob=self.dropout,
                max_position_embeddings=self.max_length,
                pad_token_id=PAD,
                initializer_range=self.initial_deviation,
            )
        )


def masked_and_next_logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return logits of the masked tokens [M, vocabulary] and of the next-sentence question [B, 2], in float32.

    The model's own forward pass would compute the first at every position: several times the work of a small
    model's whole encoder.
    """
    bert: Any = model.bert
    heads: Any = model.cls
    states = encoded(bert, batch)
    first = states.view(len(batch["input_ids"]), -1, states.shape[1])[:, 0]
    masked = heads.predictions(states.index_select(0, batch["masked_positions"]))
    follows = heads.seq_relationship(linear(first, bert.pooler.dense).tanh())
    return masked.float(), follows.float()


@dataclass(frozen=True)
class Losses:
    """Summed cross-entropies of a micro-batch, in nats."""

    masked: Tensor
    follows: Tensor
    pairs_per_mask: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of both means, times the number of pairs: the published loss, for any part of a global batch."""
        return self.masked * self.pairs_per_mask + self.follows


def losses(masked: Tensor, follows: Tensor, batch: Batch) -> Losses:
    """Return the losses of logits from `masked_and_next_logits`."""
    return Losses(
        masked=F.cross_entropy(masked, batch["masked_tokens"], reduction="sum"),
        follows=F.cross_entropy(follows, batch["next_sentence_label"], reduction="sum"),
        pairs_per_mask=batch["pairs_per_mask"],
    )
