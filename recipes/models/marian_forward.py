"""A teacher-forced pass through transformers' Marian, as [Vaswani2017]_ Sec. 3 describes it (see `layers`)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import MarianMTModel

from autolrs_recipes.models.layers import attention, dropped, linear, norm, shown


def next_token_logits(
    model: nn.Module, source: Tensor, before: Tensor, pad_id: int, on_host: Tensor | None = None
) -> Tensor:
    """Return logits of the next token at each place, [B, T, vocabulary].

    Args:
        model: a Marian; another kind, or one that leaves out layers at random, goes its own way.
        source: int64 [B, S], padded with `pad_id`.
        before: int64 [B, T], the tokens that each place is told.
        pad_id: marks padding.
        on_host: `source` on the CPU; None: it is there.
    """
    if type(model) is not MarianMTModel or model.model.encoder.layerdrop or model.model.decoder.layerdrop:
        logits: Tensor = model(
            input_ids=source, attention_mask=source != pad_id, decoder_input_ids=before, use_cache=False
        ).logits
        return logits
    mask = shown(source != pad_id, (source if on_host is None else on_host) != pad_id)
    states = _decoded(model.model.decoder, before, _encoded(model.model.encoder, source, mask), mask)
    bias = model.get_buffer("final_logits_bias")
    return F.linear(states, model.lm_head.weight, bias[0]).view(*before.shape, -1)


def _encoded(encoder: Any, source: Tensor, mask: Tensor | None) -> Tensor:
    states = _embedded(encoder, source)
    for layer in encoder.layers:
        taken = _looked_up(layer.self_attn, states, states, len(source), mask)
        states = norm(states + dropped(taken, layer.dropout, layer), layer.self_attn_layer_norm)
        states = _fed_forward(layer, states)
    return states


def _decoded(decoder: Any, before: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
    """Return the decoder's states; its padding needs no mask, since it stands behind all that count."""
    states, batch = _embedded(decoder, before), len(before)
    for layer in decoder.layers:
        taken = _looked_up(layer.self_attn, states, states, batch, causal=True)
        states = norm(states + dropped(taken, layer.dropout, layer), layer.self_attn_layer_norm)
        taken = _looked_up(layer.encoder_attn, states, source, batch, mask)
        states = norm(states + dropped(taken, layer.dropout, layer), layer.encoder_attn_layer_norm)
        states = _fed_forward(layer, states)
    return states


def _embedded(side: Any, tokens: Tensor) -> Tensor:
    table, positions = side.embed_tokens, side.embed_positions.weight
    states = F.embedding(tokens, table.weight, table.padding_idx) * side.embed_scale
    return dropped(states + positions[: tokens.shape[1]], side.dropout, side).flatten(0, 1)


def _looked_up(
    layer: Any, states: Tensor, there: Tensor, batch: int, mask: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """Return what `states` [B * T, width] find by attention in `there` [B * S, width]."""
    taken = attention(
        linear(states, layer.q_proj),
        linear(there, layer.k_proj),
        linear(there, layer.v_proj),
        batch=batch,
        heads=layer.num_heads,
        mask=mask,
        causal=causal,
        dropout=layer.dropout if layer.training else 0.0,
    )
    return linear(taken, layer.out_proj)


def _fed_forward(layer: Any, states: Tensor) -> Tensor:
    inner = dropped(layer.activation_fn(linear(states, layer.fc1)), layer.activation_dropout, layer)
    return norm(states + dropped(linear(inner, layer.fc2), layer.dropout, layer), layer.final_layer_norm)


def shifted(target: Tensor, first: int) -> Tensor:
    """Return the tokens before each of `target`, int64 [B, T]; before the first stands `first`."""
    return torch.cat((target.new_full((len(target), 1), first), target[:, :-1]), dim=1)
