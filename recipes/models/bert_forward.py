"""A pass through transformers' BERT encoder ([Devlin2019]_ Sec. 3), as [Vaswani2017]_ has it (see `layers`)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from autolrs_cli.contracts import Batch, on_host
from autolrs_recipes.models.layers import attention, dropped, linear, norm, shown


def encoded(bert: Any, batch: Batch) -> Tensor:
    """Return the last layer's states [B * L, width].

    Args:
        bert: transformers' `BertModel`, an encoder.
        batch: with "input_ids", "token_type_ids" and "attention_mask", int64 [B, L].
    """
    states = _embedded(bert.embeddings, batch["input_ids"], batch["token_type_ids"])
    mask = shown(batch["attention_mask"], on_host(batch)["attention_mask"])
    for layer in bert.encoder.layer:
        around = layer.attention
        taken = _looked_up(around.self, states, len(batch["input_ids"]), mask)
        states = _added(around.output, taken, states)
        inner = layer.intermediate.intermediate_act_fn(linear(states, layer.intermediate.dense))
        states = _added(layer.output, inner, states)
    return states


def _embedded(embeddings: Any, tokens: Tensor, types: Tensor) -> Tensor:
    words, positions = embeddings.word_embeddings, embeddings.position_embeddings.weight
    states = F.embedding(tokens, words.weight, words.padding_idx)
    states = states + F.embedding(types, embeddings.token_type_embeddings.weight)
    states = norm(states + positions[: tokens.shape[1]], embeddings.LayerNorm)
    return dropped(states, embeddings.dropout.p, embeddings).flatten(0, 1)


def _looked_up(layer: Any, states: Tensor, batch: int, mask: Tensor | None) -> Tensor:
    return attention(
        linear(states, layer.query),
        linear(states, layer.key),
        linear(states, layer.value),
        batch=batch,
        heads=layer.num_attention_heads,
        mask=mask,
        dropout=layer.dropout.p if layer.training else 0.0,
    )


def _added(output: Any, inner: Tensor, states: Tensor) -> Tensor:
    return norm(dropped(linear(inner, output.dense), output.dropout.p, output) + states, output.LayerNorm)
