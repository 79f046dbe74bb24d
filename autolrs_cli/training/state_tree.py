"""A nested state taken apart into its memory, by value, and everything else as plain JSON; and put together again.

What an optimizer keeps is its own affair: tensors of any shape may lie at any depth, and may share memory with each
other or with a parameter. So memory is taken storage by storage: what shared it shares it again, and strides (memory
formats such as channels_last) come back as they were.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

TAG = "$"
"""The key of JSON groups that stand for something JSON has no word for."""
MOST_LEVELS = 50
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_DTYPES = {str(d).removeprefix("torch."): d for d in vars(torch).values() if isinstance(d, torch.dtype)}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_SEQUENCES: dict[str, type] = {"tuple": tuple, "size": torch.Size}
_MAPPINGS: dict[str, type] = {"dict": dict, "ordered": OrderedDict}
# Whatever version of safetensors there is, it knows these; memory of any other kind is written as bytes.
_COMMON = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}


class UnstorableError(TypeError):
    """A state holds something that is neither a tensor nor plain; the text says where and what."""


class Storage(NamedTuple):
    """Memory that one tensor or several lie in.

    Args:
        memory: all of it, contiguous: the tensor itself where it fills its storage, else 1-D.
        device: where it lay when it was taken.
        parameter: the position of the parameter that lies in it too; None: there is none.
    """

    memory: Tensor
    device: torch.device
    parameter: int | None


@dataclass(frozen=True)
class Parts:
    """A state, taken apart."""

    tree: Any
    """Strict JSON."""
    storages: dict[str, Storage] = field(default_factory=dict)
    """By the place of the first tensor that lies in it: "optimizer.state.0.momentum_buffer"."""

    def is_same(self, other: Parts) -> bool:
        """Tell whether both stand for the same state, bit for bit."""
        pairs = [(own, other.storages.get(name)) for name, own in self.storages.items()]
        return (
            self.tree == other.tree
            and len(pairs) == len(other.storages)
            and all(
                b is not None and a.device == b.device and same_bits(a.memory, b.memory) for a, b in pairs
            )
        )


def take_apart(state: Any, root: str, parameters: Sequence[nn.Parameter] = ()) -> Parts:
    """Take a state apart; the memory is the living one, and nothing is copied.

    Args:
        state: nested dicts, lists and tuples of tensors and plain values.
        root: what the names of storages begin with.
        parameters: those that the state may refer to, or share memory with.

    Raises:
        UnstorableError: if something else lies in it.
    """
    taker = _Taker(parameters)
    return Parts(taker.take(state, root), taker.storages)


def put_together(tree: Any, memories: Mapping[str, Tensor], parameters: Sequence[nn.Parameter] = ()) -> Any:
    """Return the state of which `tree` is a part: new containers, and tensors that lie in `memories`.

    Args:
        tree: from `take_apart`.
        memories: name of a storage -> its memory, contiguous.
        parameters: in the same order as when it was taken apart.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: if it does not stand for a state.
    """
    if isinstance(tree, list):
        return [put_together(part, memories, parameters) for part in tree]
    if not isinstance(tree, dict):
        return tree
    kind = tree.get(TAG)
    if kind is None:
        return {key: put_together(part, memories, parameters) for key, part in tree.items()}
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](put_together(part, memories, parameters) for part in tree["items"])
    if kind in _MAPPINGS:
        return _MAPPINGS[kind](put_together(pair, memories, parameters) for pair in tree["items"])
    if kind == "tensor":
        return _view(tree, memories[tree["in"]])
    return parameters[tree["index"]] if kind == "parameter" else _plain_value(kind, tree["value"])


def whole_memory(tensor: Tensor) -> Tensor:
    """Return all that lies in the storage of `tensor`, contiguous; with its dtype if that can be written, else bytes.

    That is `tensor` itself where it can be, which costs nothing.
    """
    size = tensor.untyped_storage().nbytes()
    if tensor.nbytes == size and tensor.dtype in _COMMON and tensor.is_contiguous():
        return tensor.detach() if tensor.requires_grad else tensor
    found = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    found.set_(tensor.detach().untyped_storage())
    is_typed = tensor.dtype in _COMMON and size % tensor.element_size() == 0
    return found.view(tensor.dtype) if is_typed else found


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are equal bit for bit: NaN equals itself, and 0.0 is not -0.0."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and one.flatten().view(torch.uint8).equal(other.flatten().view(torch.uint8))


def _plain_value(kind: Any, value: Any) -> Any:
    match kind:
        case "float":
            return float(value)
        case "int":
            return int(value)
        case "dtype":
            return _DTYPES[value]
        case "device":
            return torch.device(value)
    raise ValueError(f"nothing is called {kind!r}")


def _view(leaf: Mapping[str, Any], memory: Tensor) -> Tensor:
    if "dtype" not in leaf:
        return memory
    dtype = _DTYPES[leaf["dtype"]]
    flat = memory.flatten()
    size = memory.nbytes // dtype.itemsize * dtype.itemsize
    typed = flat if flat.dtype == dtype else flat.view(torch.uint8)[:size].view(dtype)
    view = typed.as_strided(leaf["shape"], leaf["stride"], leaf["offset"])
    return view.requires_grad_() if leaf.get("grad") else view


class _Taker:
    """Walks a state and gathers the memory that its tensors lie in.

    A search does this twice a trial, so that a tensor must not take longer than its copy: about ten microseconds.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.storages: dict[str, Storage] = {}
        self._names: dict[int, str] = {}
        self._parameters = {id(parameter): index for index, parameter in enumerate(parameters)}
        self._memory_of = {_address(p): index for index, p in reversed(list(enumerate(parameters)))}

    def take(self, value: Any, at: str, levels: int = 0) -> Any:
        kind = type(value)
        if kind is Tensor or isinstance(value, Tensor):
            return self._take_tensor(value, at)
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if kind is int:
            return value if _SMALLEST <= value <= _LARGEST else {TAG: "int", "value": str(value)}
        if value is None or kind is bool or (kind is str and _is_text(value)):
            return value
        if kind is torch.dtype or kind is torch.device:
            return {TAG: kind.__name__, "value": str(value).removeprefix("torch.")}
        if levels < MOST_LEVELS:
            if kind is list or kind in _SEQUENCES.values():
                parts = [self.take(part, f"{at}.{index}", levels + 1) for index, part in enumerate(value)]
                return parts if kind is list else {TAG: _name_in(_SEQUENCES, kind), "items": parts}
            if kind in _MAPPINGS.values():
                return self._take_mapping(value, at, levels + 1)
        raise UnstorableError(f"{at} is of type {kind.__module__}.{kind.__qualname__}")

    def _take_mapping(self, value: Mapping[Any, Any], at: str, levels: int) -> Any:
        if type(value) is dict and TAG not in value and all(type(k) is str and _is_text(k) for k in value):
            return {key: self.take(part, f"{at}.{key}", levels) for key, part in value.items()}
        pairs = [
            [self.take(key, f"a key of {at}", levels), self.take(part, f"{at}.{key}", levels)]
            for key, part in value.items()
        ]
        return {TAG: _name_in(_MAPPINGS, type(value)), "items": pairs}

    def _take_tensor(self, tensor: Tensor, at: str) -> dict[str, Any]:
        kind = type(tensor)
        if kind is not Tensor and id(tensor) in self._parameters:
            return {TAG: "parameter", "index": self._parameters[id(tensor)]}
        if kind not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided or tensor.is_meta:
            what = f"a tensor of class {kind.__qualname__}, layout {tensor.layout}, on {tensor.device}"
            raise UnstorableError(f"{at} is {what}")
        name = self._name(tensor, at)
        if self.storages[name].memory is tensor:
            return {TAG: "tensor", "in": name}
        if tensor.is_conj() or tensor.is_neg():
            raise UnstorableError(f"{at} is a conjugated or negated view of another tensor")
        leaf = {
            TAG: "tensor",
            "in": name,
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "stride": list(tensor.stride()),
            "offset": tensor.storage_offset(),
        }
        return {**leaf, "grad": True} if tensor.requires_grad and tensor.is_leaf else leaf

    def _name(self, tensor: Tensor, at: str) -> str:
        """Return the name of the storage that `tensor` lies in."""
        address = _address(tensor)
        if address in self._names:
            return self._names[address]
        while at in self.storages:  # 0 and "0" are two keys of one spelling
            at += "'"
        if address:  # without memory there is nothing to share
            self._names[address] = at
        parameter = self._memory_of.get(address) if address else None
        self.storages[at] = Storage(whole_memory(tensor), tensor.device, parameter)
        return at


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_text(value: str) -> bool:
    """Whether UTF-8 has a form for it: a file's name that is not may hold half of a character."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _name_in(kinds: Mapping[str, type], wanted: type) -> str:
    return next(name for name, kind in kinds.items() if kind is wanted)
