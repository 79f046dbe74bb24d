"""Which weights of a model lie between hidden layers: what optimizers for matrices are made for."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)


def layers(model: nn.Module) -> list[nn.Module]:
    """Return the linear and convolutional layers, in the order in which the model holds them."""
    return [module for module in model.modules() if isinstance(module, _LAYERS)]


def hidden_weights(model: nn.Module, *, outer: Iterable[nn.Module] = ()) -> list[nn.Parameter]:
    """Return the weights of the linear and convolutional layers, but for outer ones and those shared with embeddings.

    Args:
        model: whose weights they are.
        outer: the layers that data enter or predictions leave by.
    """
    embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    left_out = {id(module.weight) for module in (*outer, *embeddings)}
    found = {id(module.weight): module.weight for module in layers(model)}
    return [weight for at, weight in found.items() if at not in left_out and isinstance(weight, nn.Parameter)]
