"""Model and optimizer as a checkpoint holds them: tensors on the CPU, and the rest as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autolrs_cli.errors import ConfigError
from autolrs_cli.training.optimizer_state import (
    ROOT,
    as_values,
    from_values,
    parameters_of,
    put_back,
    state_parts,
)

MODEL, AVERAGED = "model", "averaged"


def training_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, averaged: nn.Module | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return everything that training changes in model and optimizer: tensors, and the rest as plain values.

    The tensors may be the living ones: use them before the next step. No two share memory, which safetensors refuses.

    Raises:
        TrainingError: if the optimizer keeps something that cannot be written.
    """
    parts = state_parts(optimizer)
    tensors = dict(living_tensors(model, averaged))
    tensors |= {name: storage.memory for name, storage in parts.storages.items()}
    taken: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        # They are written before training goes on, so what lies contiguous in host memory needs no copy.
        flat = tensor.detach().cpu().contiguous()
        address = flat.untyped_storage().data_ptr()
        apart[name] = flat.clone() if address in taken and flat.numel() else flat
        taken.add(address)
    return apart, {"optimizer": as_values(parts, parameters_of(optimizer)[0].device)}


def load_training_tensors(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
    averaged: nn.Module | None = None,
) -> None:
    """Put back what `training_tensors` returned, into the existing tensors of the model: their memory format stays.

    Raises:
        ConfigError: if it is not of this model.
        LookupError, TypeError, ValueError, RuntimeError: if the optimizer's state is none.
    """
    living = dict(living_tensors(model, averaged))
    stored = {name: t for name, t in tensors.items() if name.startswith((f"{MODEL}.", f"{AVERAGED}."))}
    if _outline(living) != _outline(stored):
        raise ConfigError(
            "A checkpoint must be of the configured model, but holds other names or shapes. Use the config.yaml "
            "that was written with it, and the same versions of the libraries."
        )
    with torch.no_grad():
        for name, tensor in living.items():
            tensor.copy_(stored[name])
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{ROOT}.")}
        put_back(optimizer, from_values(optimizer, values["optimizer"], own))


def living_tensors(model: nn.Module, averaged: nn.Module | None) -> Iterator[tuple[str, Tensor]]:
    """Yield all parameters and buffers, non-persistent ones included, with the names they have in a checkpoint."""
    for kind, module in ((MODEL, model), (AVERAGED, averaged)):
        if module is not None:
            yield from module.named_parameters(prefix=kind)
            yield from module.named_buffers(prefix=kind)


def _outline(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
