"""What an optimizer knows, through its own `state_dict`; and the few things that the loop asks of any optimizer.

`Optimizer.load_state_dict` casts state to the parameter's dtype and device, and gives every group tensors of its own.
For bit-equal steps that is not enough, so what it leaves is compared with what was saved, and mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autolrs_cli.contracts import SwitchingOptimizer
from autolrs_cli.errors import TrainingError
from autolrs_cli.training.state_tree import (
    Parts,
    Storage,
    UnstorableError,
    put_together,
    take_apart,
    whole_memory,
)

ROOT = "optimizer"


def make_ready(optimizer: Optimizer) -> None:
    """Bring a new optimizer to where training starts from.

    One whose weights switch is put into training; and an LR in a tensor, which torch shares among the groups, becomes
    each group's own.
    """
    if isinstance(optimizer, SwitchingOptimizer):
        with torch.no_grad():
            optimizer.train()
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"] = group["lr"].detach().clone()


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Let each group train at `lr` times its `lr_ratio`; an LR in a tensor is filled: a compiled step holds it."""
    for group in optimizer.param_groups:
        own = float(lr * group["lr_ratio"])
        if isinstance(group["lr"], Tensor):
            group["lr"].detach().fill_(own)
        else:
            group["lr"] = own


@contextmanager
def evaluation_weights(optimizer: Optimizer) -> Iterator[None]:
    """Let the parameters hold the weights that the optimizer is judged by; afterwards those it trains, bit for bit.

    Without a copy they would come back rounded, and a run that is measured more often would be another run.
    """
    if not isinstance(optimizer, SwitchingOptimizer):
        yield
        return
    parameters: list[Tensor] = list(parameters_of(optimizer))
    trained = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        optimizer.eval()
    try:
        yield
    finally:
        with torch.no_grad():
            optimizer.train()
            torch._foreach_copy_(parameters, trained)


def batchnorm_batches(optimizer: Optimizer) -> int:
    """Return on how many micro-batches BatchNorm's statistics of its judged weights are estimated; 0: they are not."""
    return getattr(optimizer, "batchnorm_batches", 0) if isinstance(optimizer, SwitchingOptimizer) else 0


def estimates_lr(optimizer: Optimizer) -> bool:
    """Tell whether it finds its LR itself, so that the schedule's is a factor of that."""
    return bool(getattr(optimizer, "estimates_lr", False))


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return its parameters in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def state_nbytes(optimizer: Optimizer) -> int:
    """Return the bytes of memory that its state takes, beside the parameters."""
    storages = state_parts(optimizer).storages.values()
    return sum(storage.memory.nbytes for storage in storages if storage.parameter is None)


def state_parts(optimizer: Optimizer) -> Parts:
    """Return what `optimizer.state_dict()` gives, taken apart; the memory is the living one.

    Raises:
        TrainingError: if there is something in it that a checkpoint cannot hold.
    """
    try:
        return take_apart(optimizer.state_dict(), ROOT, parameters_of(optimizer))
    except UnstorableError as error:
        name = type(optimizer).__name__
        raise TrainingError(
            f"The state of an optimizer must be tensors and plain values to be saved, but in {name} {error}. "
            "Keep tensors, numbers, texts, lists, tuples and dicts in its state and its parameter groups."
        ) from error


def put_back(optimizer: Optimizer, saved: Parts) -> None:
    """Bring an optimizer to a saved state, whose memory it takes over.

    Args:
        optimizer: with the parameters it had then; one that switches must be in training.
        saved: from `state_parts`; its memory is on the right device, and nobody else's.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: if the state is not one of this optimizer.
    """
    memories = {name: storage.memory for name, storage in saved.storages.items()}
    state = put_together(saved.tree, memories, parameters_of(optimizer))
    _require_groups_of(optimizer, state)
    if _shows_all(optimizer):
        _install(optimizer, state)
        return
    optimizer.load_state_dict(state)
    if state_parts(optimizer).is_same(saved):
        return
    if {"state", "param_groups"} <= state.keys():
        _install(optimizer, state)
    if not state_parts(optimizer).is_same(saved):
        name = type(optimizer).__name__
        raise ValueError(f"{name}.load_state_dict does not bring back what {name}.state_dict gave")


def as_values(parts: Parts, device: torch.device) -> dict[str, Any]:
    """Return all of `parts` that is not memory, as JSON; `device` is that of the parameters."""
    storages = {
        name: {"on_device": storage.device == device, "parameter": storage.parameter}
        for name, storage in parts.storages.items()
    }
    return {"tree": parts.tree, "storages": storages}


def from_values(optimizer: Optimizer, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Parts:
    """Return the parts of which `as_values` gave the JSON, in memory of their own, or in that of the parameters.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: if they do not belong together.
    """
    parameters = parameters_of(optimizer)
    storages: dict[str, Storage] = {}
    for name, how in values["storages"].items():
        stored, index = tensors[name], how["parameter"]
        device = parameters[0].device if how["on_device"] else torch.device("cpu")
        memory = (
            stored.to(device, copy=True) if index is None else parameter_memory(parameters[index], stored)
        )
        if index is not None:
            memory.copy_(stored)
        storages[name] = Storage(memory, device, index)
    return Parts(values["tree"], storages)


def parameter_memory(parameter: nn.Parameter, like: Tensor) -> Tensor:
    """Return the memory that `parameter` lies in, with the dtype of `like`.

    Raises:
        ValueError: if it is not of the size of `like`.
    """
    found = whole_memory(parameter).flatten().view(torch.uint8)
    if found.nbytes != like.nbytes:
        raise ValueError(f"a parameter lies in memory of {found.nbytes} bytes where there were {like.nbytes}")
    return found.view(like.dtype).view(like.shape)


def _require_groups_of(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Raise unless the saved groups are those of the optimizer; keys of its own are its own affair."""
    if type(optimizer).state_dict is not Optimizer.state_dict:
        return
    then = [len(group["params"]) for group in state["param_groups"]]
    now = [len(group["params"]) for group in optimizer.param_groups]
    if then != now or not isinstance(state["state"], dict):
        raise ValueError(f"its groups have {then} parameters where the model has {now}")


def _shows_all(optimizer: Optimizer) -> bool:
    """Whether `state_dict` shows the living state, and all of it, so that it can be set without `load_state_dict`."""
    kind = type(optimizer)
    if not (kind.state_dict is Optimizer.state_dict and kind.load_state_dict is Optimizer.load_state_dict):
        return False
    shown = optimizer.state_dict()  # hooks may have made something else of it
    if shown.keys() != {"state", "param_groups"} or len(shown["state"]) != len(optimizer.state):
        return False
    states = zip(shown["state"].values(), optimizer.state.values(), strict=True)
    groups = zip(shown["param_groups"], optimizer.param_groups, strict=True)
    return all(a is b for a, b in states) and all(
        a.get(key) is b[key] for a, b in groups for key in b if key != "params"
    )


def _install(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Set state and groups to what they were: no key more, none less."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    owners: dict[Any, Any] = dict(zip(numbers, parameters_of(optimizer), strict=True))
    wanted = {owners.get(key, key): value for key, value in state["state"].items()}
    for key in set(optimizer.state) - set(wanted):
        del optimizer.state[key]
    for key, value in wanted.items():
        living = optimizer.state.get(key)
        if isinstance(living, dict) and isinstance(value, dict):
            living.clear()  # others may hold it
            living.update(value)
        else:
            optimizer.state[key] = value
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for key in group.keys() - saved.keys():
            del group[key]
        group.update({key: value for key, value in saved.items() if key != "params"})
