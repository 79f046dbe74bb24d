"""The final weights, in a format that loads without running code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the model's state dict to `path`, whole or not at all.

    Tensors go out contiguous, since safetensors knows no other memory format, and tied ones once: under the
    name that the state dict gives first.
    """
    seen: set[tuple[int, torch.Size]] = set()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        storage = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and storage in seen:
            continue
        seen.add(storage)
        tensors[name] = tensor.detach().cpu().contiguous()
    aside = path.with_name(f"{path.name}.part")
    save_file(tensors, aside)
    aside.replace(path)
