"""A copy of everything that training changes, in memory, taken and restored many times a stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Share of the free device memory that the copy may take before it goes to the host.
DEVICE_SHARE = 0.5


class Snapshot:
    """Parameters, buffers, optimizer state and random states of one model and optimizer.

    Buffers are allocated at the first `save` and reused, so a stage costs one copy of the training state and no
    allocation. `restore` copies into the existing tensors: their memory format, and whatever else holds them,
    stays.

    Args:
        model: its parameters and all its buffers are kept, non-persistent ones included.
        optimizer: its per-parameter state and the scalars of its groups are kept.
        averaged: a second module that training changes: averaged weights; None: there is none.
        location: "device", "host" (pinned where there is CUDA), or "auto": the device if the copy takes at most
            half of its free memory.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        location: str = "auto",
        averaged: nn.Module | None = None,
    ) -> None:
        self._model = model
        self._averaged = averaged
        self._optimizer = optimizer
        self._location = location
        self._copies: dict[Any, Tensor] = {}
        self._state: list[dict[str, Any]] = []
        self._groups: list[dict[str, Any]] = []
        self._random: dict[str, Any] = {}

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self._model.parameters()), torch.device("cpu"))

    @property
    def nbytes(self) -> int:
        """Bytes held by the copies."""
        return sum(copy.nbytes for copy in self._copies.values())

    @torch.no_grad()
    def save(self) -> None:
        """Copy the state as it is now, over what was saved before."""
        if self._location == "auto":
            self._location = self._roomiest()
        self._copy_in(dict(self._live()))
        self._state = [self._save_state(i, p) for i, p in enumerate(self._parameters())]
        self._groups = [{k: v for k, v in g.items() if k != "params"} for g in self._optimizer.param_groups]
        self._random = random_states(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back as it was at the last `save`; gradients are dropped.

        Raises:
            RuntimeError: if nothing was saved yet.
        """
        if not self._random:
            raise RuntimeError("A snapshot must be saved before it is restored. Call save() first.")
        live = dict(self._live())
        torch._foreach_copy_(list(live.values()), [self._copies[key] for key in live])
        for index, parameter in enumerate(self._parameters()):
            self._restore_state(index, parameter)
        for group, saved in zip(self._optimizer.param_groups, self._groups, strict=True):
            group.update(saved)
        self._optimizer.zero_grad(set_to_none=True)
        set_random_states(self._random, self._device)

    def _live(self) -> Iterator[tuple[str, Tensor]]:
        for kind, module in (("model", self._model), ("averaged", self._averaged)):
            if module is not None:
                yield from module.named_parameters(prefix=kind)
                yield from module.named_buffers(prefix=kind)

    def _parameters(self) -> Iterator[nn.Parameter]:
        return (p for group in self._optimizer.param_groups for p in group["params"])

    def _copy_in(self, live: dict[Any, Tensor]) -> None:
        fresh = {k: t for k, t in live.items() if not _fits(self._copies.get(k), t)}
        for key, tensor in fresh.items():
            self._copies[key] = self._allocate(tensor)
        if live:
            torch._foreach_copy_([self._copies[key] for key in live], list(live.values()))

    def _save_state(self, index: int, parameter: nn.Parameter) -> dict[str, Any]:
        # The optimizer creates its state at its first step: before that there is none, and restoring must
        # bring that back, or momentum would start from zeros instead of from the first gradient.
        state = self._optimizer.state.get(parameter, {})
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        self._copy_in({(index, name): value for name, value in tensors.items()})
        return {name: None if name in tensors else value for name, value in state.items()}

    def _restore_state(self, index: int, parameter: nn.Parameter) -> None:
        saved = self._state[index]
        if not saved:
            self._optimizer.state.pop(parameter, None)
            return
        state = self._optimizer.state[parameter]
        for name in set(state) - set(saved):
            del state[name]
        for name, value in saved.items():
            copy = self._copies.get((index, name)) if value is None else None
            if copy is None:
                state[name] = value
            elif _fits(state.get(name), copy):
                state[name].copy_(copy)
            else:
                state[name] = copy.to(parameter.device if copy.dim() else copy.device, copy=True)

    def _allocate(self, tensor: Tensor) -> Tensor:
        if self._location == "host" and tensor.device.type != "cpu":
            return torch.empty_like(tensor, device="cpu", pin_memory=True)
        return torch.empty_like(tensor)

    def _roomiest(self) -> str:
        if not _on_cuda(self._model):
            return "device"
        parameters = list(self._model.parameters())
        free, _ = torch.cuda.mem_get_info(parameters[0].device)
        # Adam, the largest of the usual optimizers, holds two more tensors per parameter.
        copies = 3 if self._averaged is None else 4
        needed = copies * sum(p.nbytes for p in parameters)
        return "device" if needed < DEVICE_SHARE * free else "host"


def _fits(copy: Tensor | None, tensor: Tensor) -> bool:
    return copy is not None and copy.shape == tensor.shape and copy.dtype == tensor.dtype


def _on_cuda(model: nn.Module) -> bool:
    return any(p.device.type == "cuda" for p in model.parameters())


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the state of every global random stream that a model on `device` may draw from."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - the legacy state is what other people's models draw from
    }


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put the streams back to what `random_states` returned."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
