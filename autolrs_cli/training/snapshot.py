"""A copy of everything that training changes, in memory, taken and restored many times a stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from autolrs_cli.training.engine_state import living_tensors
from autolrs_cli.training.optimizer_state import parameter_memory, parameters_of, put_back, state_parts
from autolrs_cli.training.random_streams import random_states, set_random_states
from autolrs_cli.training.state_tree import Parts, Storage

# Share of the free device memory that the copy may take before it goes to the host.
DEVICE_SHARE = 0.5


class Snapshot:
    """Parameters, buffers, optimizer state and random states of one model and optimizer, all by value.

    Buffers are allocated at the first `save` and reused, so a stage costs one copy of the training state and no
    allocation. `restore` copies into the existing tensors: their memory format, and whatever else holds them,
    stays. There may be several of the same model and optimizer.

    Args:
        model: its parameters and all its buffers are kept, non-persistent ones included.
        optimizer: what its `state_dict` gives is kept, tensors and values at any depth; one that switches between
            weights is in training mode whenever this is used.
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
        self._copies: dict[str, Tensor] = {}
        self._state = Parts(None)
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
        """Copy the state as it is now, over what was saved before.

        Raises:
            TrainingError: if the optimizer keeps something that is neither a tensor nor plain.
        """
        if self._location == "auto":
            self._location = self._roomiest()
        # An optimizer creates its state at its first step: before that there is none, and restoring must bring
        # that back, or momentum would start from zeros instead of from the first gradient.
        state = state_parts(self._optimizer)
        self._copy_in(self._living() | {name: storage.memory for name, storage in state.storages.items()})
        self._state = Parts(
            state.tree,
            {name: Storage(self._copies[name], s.device, s.parameter) for name, s in state.storages.items()},
        )
        self._random = random_states(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back as it was at the last `save`; gradients are dropped.

        Raises:
            RuntimeError: if nothing was saved yet.
        """
        if not self._random:
            raise RuntimeError("A snapshot must be saved before it is restored. Call save() first.")
        state = self._living_state()
        into = self._living() | {name: storage.memory for name, storage in state.storages.items()}
        copy_all((tensor, self._copies[name]) for name, tensor in into.items())
        put_back(self._optimizer, state)
        self._optimizer.zero_grad(set_to_none=True)
        set_random_states(self._random, self._device)

    def _living(self) -> dict[str, Tensor]:
        return dict(living_tensors(self._model, self._averaged))

    def _copy_in(self, living: dict[str, Tensor]) -> None:
        for name, tensor in living.items():
            if not _fits(self._copies.get(name), tensor):
                self._copies[name] = self._allocate(tensor)
        copy_all((self._copies[name], tensor) for name, tensor in living.items())

    def _living_state(self) -> Parts:
        """Return the saved state of the optimizer in the memory that it has now, or in new memory where it has none."""
        now = state_parts(self._optimizer).storages
        parameters = parameters_of(self._optimizer)
        found: dict[str, Storage] = {}
        for name, saved in self._state.storages.items():
            living = now.get(name)
            if saved.parameter is not None:
                memory = parameter_memory(parameters[saved.parameter], saved.memory)
            elif living is None or living.parameter is not None or not _is_like(living, saved):
                memory = torch.empty_like(saved.memory, device=saved.device)
            else:
                memory = living.memory
            found[name] = Storage(memory, saved.device, saved.parameter)
        return Parts(self._state.tree, found)

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
        needed = 2 * sum(p.nbytes for p in parameters) + sum(t.nbytes for t in self._living().values())
        return "device" if needed < DEVICE_SHARE * free else "host"


def copy_all(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Copy each second tensor into the first; tensors of one kind go together, in as few kernels as may be."""
    kinds: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for into, source in pairs:
        targets, sources = kinds.setdefault((into.dtype, into.device, source.device), ([], []))
        targets.append(into)
        sources.append(source)
    for targets, sources in kinds.values():
        torch._foreach_copy_(targets, sources)


def _fits(copy: Tensor | None, tensor: Tensor) -> bool:
    return copy is not None and copy.shape == tensor.shape and copy.dtype == tensor.dtype


def _is_like(living: Storage, saved: Storage) -> bool:
    return living.device == saved.device and _fits(living.memory, saved.memory)


def _on_cuda(model: nn.Module) -> bool:
    return any(p.device.type == "cuda" for p in model.parameters())
