"""What a translation recipe asks of its model, and the published one: transformers' Marian at Transformer-base size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import torch
from pydantic import Field
from torch import nn
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from autolrs_cli.values import PositiveInt, checked


class TranslationModel(Protocol):
    """Builds an encoder-decoder of transformers' kind."""

    @property
    def max_length(self) -> int:
        """Return the most tokens that it takes on either side."""

    def describe(self) -> str:
        """Say what the model is, in words."""

    def problems(self) -> list[str]:
        """Return every problem with the settings, each naming its key and the way out."""

    def build(self, *, vocab_size: int, pad_id: int, end_id: int) -> MarianMTModel:
        """Build it with fresh weights drawn from torch's global random state; its decoder starts with `pad_id`."""


@checked
@dataclass(frozen=True, kw_only=True)
class Marian:
    """The Transformer of [Vaswani2017]_: post-norm, ReLU, sinusoidal positions, one embedding for everything.

    First weights as in the authors' code (tensor2tensor), since the paper does not say: Xavier-uniform matrices, zero
    biases, embeddings of standard deviation d_model^-0.5, which `scale_embedding` brings to 1. Marian's own 0.02
    everywhere suits wide models only. As in Marian, and not in the paper's base model, attention has biases.

    Args:
        d_model: width.
        layers: of the encoder, and as many of the decoder.
        heads: of each attention; divides `d_model`.
        d_ff: inner width of the feed-forward layers.
        dropout: of embeddings and of each sub-layer's output ([Vaswani2017]_ Sec. 5.4); none inside of attention.
        max_length: most tokens on either side.
    """

    d_model: Annotated[int, Field(strict=True, ge=2)]
    layers: PositiveInt
    heads: PositiveInt
    d_ff: PositiveInt
    dropout: Annotated[float, Field(strict=True, ge=0, le=0.99)]
    max_length: Annotated[int, Field(strict=True, ge=2)]

    def describe(self) -> str:
        """Say what the model is, in words."""
        return (
            f"Transformer (transformers' Marian), {self.layers}+{self.layers} layers, width {self.d_model}, "
            f"feed-forward {self.d_ff}, {self.heads} heads"
        )

    def problems(self) -> list[str]:
        """Return every problem with the settings."""
        if self.d_model % self.heads == 0:
            return []
        return [
            f"`heads` must divide `d_model`, but got model.heads={self.heads}, model.d_model={self.d_model}. "
            "Set model.heads."
        ]

    def build(self, *, vocab_size: int, pad_id: int, end_id: int) -> MarianMTModel:
        """Build it with fresh weights."""
        config = MarianConfig(
            vocab_size=vocab_size,
            d_model=self.d_model,
            encoder_layers=self.layers,
            decoder_layers=self.layers,
            encoder_attention_heads=self.heads,
            decoder_attention_heads=self.heads,
            encoder_ffn_dim=self.d_ff,
            decoder_ffn_dim=self.d_ff,
            activation_function="relu",
            dropout=self.dropout,
            attention_dropout=0.0,
            activation_dropout=0.0,
            scale_embedding=True,
            max_position_embeddings=self.max_length,
            pad_token_id=pad_id,
            decoder_start_token_id=pad_id,
            eos_token_id=end_id,
            forced_eos_token_id=None,
        )
        model = MarianMTModel(config)
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            pad_token_id=pad_id,
            decoder_start_token_id=pad_id,
            eos_token_id=end_id,
            max_length=self.max_length,
        )
        _draw(model)
        return model


@torch.no_grad()
def _draw(model: MarianMTModel) -> None:
    """Draw the first weights anew."""
    for module in model.model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    embedding = model.model.shared
    nn.init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5)
    nn.init.zeros_(embedding.weight[embedding.padding_idx])
