"""What the layers of [Vaswani2017]_ do, on modules of transformers: states are two-dimensional, [B * T, width].

At the sizes of a stand-in, the library's own forward pass is mostly Python: masks, wrappers and settings that are
looked up again in every layer of every step. These functions call the same kernels with the same numbers in the same
order, and draw the same dropout, so that losses and gradients are the library's.

.. [Vaswani2017] Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv 1706.03762.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def linear(states: Tensor, layer: Any) -> Tensor:
    """Apply an `nn.Linear`."""
    return F.linear(states, layer.weight, layer.bias)


def norm(states: Tensor, layer: Any) -> Tensor:
    """Apply an `nn.LayerNorm`."""
    return F.layer_norm(states, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def dropped(states: Tensor, share: float, layer: Any) -> Tensor:
    """Drop `share` of the states where `layer` is in training."""
    return F.dropout(states, share) if share and layer.training else states


def shown(attention_mask: Tensor, on_host: Tensor) -> Tensor | None:
    """Return which places every query may look at, bool [B, 1, 1, T]; None where it may look at all.

    A compiled pass always has a mask: its graph must not depend on what the batch holds.

    Args:
        attention_mask: [B, T], zero for padding.
        on_host: the same on the CPU, where looking for padding does not wait for the device.
    """
    if not torch.compiler.is_compiling() and on_host.bool().all():
        return None
    return attention_mask.bool()[:, None, None]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    batch: int,
    heads: int,
    mask: Tensor | None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return what each place takes from those it looks at ([Vaswani2017]_ Sec. 3.2), [B * T, width].

    Args:
        query: projected states [B * T, width].
        key: projected states [B * S, width].
        value: of the same places.
        batch: B.
        heads: that divide the width.
        mask: from `shown`.
        causal: whether a place sees only itself and those before it.
        dropout: share of the attention weights that is dropped.
    """
    width = query.shape[1]
    q, k, v = (t.view(batch, -1, heads, width // heads).transpose(1, 2) for t in (query, key, value))
    taken = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
    return taken.transpose(1, 2).reshape(-1, width)
