"""A state that is taken apart, written and put together is the same: types, bits, shared memory, strides."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

from autolrs_cli.training.state_tree import UnstorableError, put_together, same_bits, take_apart


def there_and_back(state: Any, parameters: tuple[nn.Parameter, ...] = ()) -> Any:
    """Through the bytes of both files."""
    parts = take_apart(state, "state", parameters)
    tensors = load(save({name: each.memory.clone() for name, each in parts.storages.items()}))
    return put_together(orjson.loads(orjson.dumps(parts.tree)), tensors, parameters)


def is_equal(one: Any, other: Any) -> bool:
    """Equal with equal types, all the way down; NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        same_keys = [(type(k), k) for k in one] == [(type(k), k) for k in other]
        return same_keys and all(map(is_equal, one.values(), other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, float) and not math.isnan(one):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, float):
        return math.isnan(other)
    return bool(one == other)


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.just("$"),
        st.sampled_from([torch.bfloat16, torch.int8, torch.device("cpu"), torch.Size([2, 3])]),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(
            st.one_of(st.text("$ab.", max_size=3), st.integers(), st.booleans(), st.none()), inner
        ),
        st.dictionaries(st.integers(), inner).map(OrderedDict),
    ),
    max_leaves=10,
)


@given(plain)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert is_equal(there_and_back(value), value)


DTYPES = [
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float8_e5m2),
    *(torch.complex64, torch.complex128),
    *(torch.int64, torch.int32, torch.uint16, torch.uint8, torch.bool),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 0, 2)], ids=str)
def test_a_tensor_of_any_dtype_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    size = math.prod(shape) * dtype.itemsize
    bits = torch.randint(0, 2, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tensor = bits.view(dtype).view(shape) if size else torch.empty(shape, dtype=dtype)
    (back,) = there_and_back([tensor])
    assert back.stride() == tensor.stride()
    assert same_bits(back, tensor)


def test_strides_come_back() -> None:
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    state = {
        "image": image,
        "turned": torch.randn(3, 4).T,
        "part": torch.randn(10)[2:8:3],
        "wide": torch.ones(1).expand(4),
    }
    back = there_and_back(state)
    for name, tensor in state.items():
        assert (back[name].stride(), back[name].tolist()) == (tensor.stride(), tensor.tolist()), name
    assert back["image"].is_contiguous(memory_format=torch.channels_last)


def test_what_shares_memory_shares_it_again() -> None:
    flat = torch.arange(6.0)
    state = {
        "views": [flat[:2], flat[2:].view(2, 2)],
        "deep": ({0: flat},),
        "bits": flat.view(torch.int32),
        "other": flat.clone(),
    }
    back = there_and_back(state)
    back["deep"][0][0].zero_()
    assert [v.sum() for v in back["views"]] == [0, 0]
    assert int(back["bits"].sum()) == 0
    assert back["other"].sum() == 15


def test_a_parameter_and_what_lies_in_its_memory_are_found_again() -> None:
    parameter = nn.Parameter(torch.arange(6.0))
    back = there_and_back({"itself": parameter, "view": parameter.detach()[1:3]}, (parameter,))
    assert back["itself"] is parameter
    parts = take_apart([parameter.detach()[1:3]], "state", (parameter,))
    assert [each.parameter for each in parts.storages.values()] == [0]


def test_nothing_is_copied_and_no_memory_is_named_twice() -> None:
    flat = torch.zeros(4)
    parts = take_apart({"0": flat, 0: flat[1:], "more": torch.zeros(2)}, "s")
    assert list(parts.storages) == ["s.0", "s.more"]
    assert parts.storages["s.0"].memory.data_ptr() == flat.data_ptr()
    assert list(take_apart({"0": torch.zeros(1), 0: torch.zeros(1)}, "s").storages) == ["s.0", "s.0'"]


def test_a_tensor_that_asks_for_gradients_asks_again() -> None:
    back = there_and_back([torch.tensor(0.1, requires_grad=True), torch.tensor(0.1)])
    assert [each.requires_grad for each in back] == [True, False]


NEVER: list[Any] = [[]]
NEVER[0].append(NEVER)


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"groups": [{"hook": print}]}, "state.groups.0.hook is of type builtins.builtin_function_or_method"),
        ({"a": defaultdict(list)}, "state.a is of type collections.defaultdict"),
        ({"a": {1, 2}}, "builtins.set"),
        ({"a": np.float64(1)}, "numpy.float64"),
        ({"a": functools.partial(int)}, "functools.partial"),
        ({"a": "\ud800"}, "state.a is of type builtins.str"),
        ({("a", 1): {b"x": 1}}, "a key of state"),
        ({"a": torch.eye(2).to_sparse()}, "layout torch.sparse_coo"),
        ({"a": torch.empty(2, device="meta")}, "on meta"),
        ({"a": torch.tensor([1j, 2j]).conj()}, "conjugated"),
        (NEVER, "state.0.0"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_named(state: Any, where: str) -> None:
    with pytest.raises(UnstorableError, match=where.replace(".", r"\.")):
        take_apart(state, "state")


@pytest.mark.parametrize(
    "tree",
    [
        {"$": "pickle", "value": "cos\nsystem"},
        {"$": []},
        {"$": "tensor", "in": "nowhere"},
        {"$": "tensor", "in": "a", "dtype": "load", "shape": [1], "stride": [1], "offset": 0},
        {"$": "tensor", "in": "a", "dtype": "float32", "shape": [10**15], "stride": [1], "offset": 0},
        {"$": "tensor", "in": "a", "dtype": "float32", "shape": [1], "stride": [1], "offset": 3},
        {"$": "tensor", "in": "a", "dtype": "float32", "shape": [2], "stride": [-1], "offset": 1},
        {"$": "float", "value": "many"},
        {"$": "tuple"},
        {"$": "dict", "items": [[1]]},
        {"$": "dict", "items": [[[], 1]]},
        {"$": "parameter", "index": 7},
        {"$": "device", "value": "moon"},
    ],
    ids=str,
)
def test_json_that_stands_for_nothing_is_refused(tree: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, RuntimeError)):
        put_together([tree], {"a": torch.zeros(3)})


def test_a_difference_of_one_bit_is_seen() -> None:
    def parts(value: Any) -> Any:
        return take_apart({"a": torch.tensor([0.0, value]), "b": 1}, "s")

    assert parts(math.nan).is_same(parts(math.nan))
    assert not parts(0.0).is_same(parts(-0.0))
    assert not take_apart({"b": 1}, "s").is_same(parts(0.0))
    assert isinstance(parts(1.0).storages["s.a"].memory, Tensor)
