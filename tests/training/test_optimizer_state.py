"""Whatever an optimizer keeps comes back from a checkpoint's bytes, and the steps that follow are the same."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from own_optimizers import FlatMomentum, GroupScaled, OwnKeys, Switching
from torch import nn
from torch.optim import Optimizer

from autolrs_cli.contracts import SwitchingOptimizer
from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.training.checkpoint import Checkpoint, Checkpoints
from autolrs_cli.training.engine_state import load_training_tensors, training_tensors
from autolrs_cli.training.optimizer_state import evaluation_weights, make_ready, set_lr, state_nbytes

Make = Callable[[list[dict[str, Any]]], Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda g: torch.optim.SGD(g, lr=0.0, momentum=0.9),
    "adam": lambda g: torch.optim.Adam(g, lr=0.0),
    "adamw fused": lambda g: torch.optim.AdamW(g, lr=0.0, fused=True),
    "LR in a tensor": lambda g: torch.optim.Adam(g, lr=torch.tensor(0.0), foreach=False),
    "factored state": lambda g: torch.optim.Adafactor(g, lr=0.0),
    "flat": FlatMomentum,
    "groups": GroupScaled,
    "own keys": OwnKeys,
    "switching": Switching,
}


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last, dtype=dtype)


def optimizer_of(model: nn.Module, make: Make) -> Optimizer:
    first, *rest = model.parameters()
    groups = [{"params": [first], "lr_ratio": 0.5}, {"params": rest, "lr_ratio": 1.0}]
    optimizer = make(groups)
    make_ready(optimizer)
    return optimizer


def advance(model: nn.Module, optimizer: Optimizer, steps: range) -> None:
    dtype = next(model.parameters()).dtype
    for step in steps:
        draw = torch.Generator().manual_seed(step)
        images = torch.randn(4, 3, 8, 8, generator=draw).to(memory_format=torch.channels_last, dtype=dtype)
        optimizer.zero_grad()
        model(images).float().square().mean().backward()
        set_lr(optimizer, 0.01 * (1 + step % 3))
        optimizer.step()


def resumed(model: nn.Module, optimizer: Optimizer, make: Make, folder: Path) -> tuple[nn.Module, Optimizer]:
    """Another model and optimizer, brought to this state through a checkpoint on the disk."""
    Checkpoints(folder).write(1, Checkpoint(*training_tensors(model, optimizer)))
    stored = Checkpoints(folder).read_at(1)
    other = network(next(model.parameters()).dtype)
    its_optimizer = optimizer_of(other, make)
    load_training_tensors(other, its_optimizer, stored.tensors, stored.values)
    return other, its_optimizer


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    states = one.state_dict(), other.state_dict()
    assert [name for name in states[0] if not states[0][name].equal(states[1][name])] == []


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("before", [0, 4], ids=["untrained", "trained"])
def test_the_steps_after_a_checkpoint_are_the_same(name: str, before: int, tmp_path: Path) -> None:
    model = network()
    optimizer = optimizer_of(model, OPTIMIZERS[name])
    advance(model, optimizer, range(before))
    other, its_optimizer = resumed(model, optimizer, OPTIMIZERS[name], tmp_path)
    assert any(its_optimizer.state.values()) == any(optimizer.state.values())
    advance(model, optimizer, range(before, before + 4))
    advance(other, its_optimizer, range(before, before + 4))
    assert_equal(model, other)


@pytest.mark.parametrize("make", [OPTIMIZERS["sgd"], OPTIMIZERS["adam"]], ids=["sgd", "adam"])
def test_channels_last_state_comes_back_channels_last(make: Make, tmp_path: Path) -> None:
    model = network()
    optimizer = optimizer_of(model, make)
    advance(model, optimizer, range(2))
    other, its_optimizer = resumed(model, optimizer, make, tmp_path)
    pairs = zip(optimizer.state.values(), its_optimizer.state.values(), strict=True)
    strides = [
        ({k: v.stride() for k, v in a.items()}, {k: v.stride() for k, v in b.items()}) for a, b in pairs
    ]
    assert all(a == b for a, b in strides)
    assert (27, 1, 9, 3) in [stride for state, _ in strides for stride in state.values()]
    assert other[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_state_of_another_dtype_than_its_parameter_is_not_cast(tmp_path: Path) -> None:
    def make(groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.SGD(groups, lr=0.0)

    model = network(torch.bfloat16)
    optimizer = optimizer_of(model, make)
    weight = model[0].weight
    optimizer.state[weight] = {
        "master": weight.detach().double() / 3,
        "count": torch.tensor([3, 4]),
        "kind": "a text, of which torch makes <generator object>",
        "shape": weight.shape,
        "nested": {1: (torch.ones(2), [None, True])},
    }
    optimizer.state["of all"] = torch.eye(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other, its_optimizer = resumed(model, optimizer, make, tmp_path)
    state = its_optimizer.state[other[0].weight]
    assert state["master"].dtype == torch.float64
    assert state["master"].equal(weight.detach().double() / 3)
    assert (state["count"].dtype, state["kind"][:6], state["shape"]) == (torch.int64, "a text", weight.shape)
    assert isinstance(state["nested"][1], tuple)
    assert state["nested"][1][1] == [None, True]
    assert its_optimizer.state["of all"].equal(torch.eye(3))


def test_cpu_state_of_groups_and_views_share_memory_again(tmp_path: Path) -> None:
    model = network()
    optimizer = optimizer_of(model, FlatMomentum)
    advance(model, optimizer, range(1))
    _, its_optimizer = resumed(model, optimizer, FlatMomentum, tmp_path)
    for group in its_optimizer.param_groups:
        its_optimizer.state[group["params"][0]]["flat"].fill_(2.0)
        assert all((its_optimizer.state[p]["own"] == 2).all() for p in group["params"])


def test_memory_that_is_shared_with_a_parameter_is_shared_again(tmp_path: Path) -> None:
    model, make = network(), OPTIMIZERS["sgd"]
    optimizer = optimizer_of(model, make)
    bias = model[4].bias
    optimizer.state["watched"] = {"itself": bias, "two of it": bias.detach()[:2]}
    other, its_optimizer = resumed(model, optimizer, make, tmp_path)
    assert its_optimizer.state["watched"]["itself"] is other[4].bias
    with torch.no_grad():
        other[4].bias.fill_(9.0)
    assert its_optimizer.state["watched"]["two of it"].tolist() == [9, 9]


def test_a_load_that_casts_or_forgets_is_mended_or_refused(tmp_path: Path) -> None:
    class Casting(OwnKeys):
        """Its load_state_dict hands on to torch's, which casts."""

        def step(self, closure: None = None) -> None:
            super().step()
            for p in self.param_groups[0]["params"]:
                self.state[p]["exact"] = p.detach().double() / 3

    class Forgetting(OwnKeys):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict({**state_dict, "steps": 0})

    for make in (Casting, Forgetting):
        model = network()
        optimizer = optimizer_of(model, make)
        advance(model, optimizer, range(2))
        if make is Forgetting:
            with pytest.raises(ValueError, match=r"Forgetting\.load_state_dict does not bring back"):
                resumed(model, optimizer, make, tmp_path / "forgetting")
            continue
        other, its_optimizer = resumed(model, optimizer, make, tmp_path / "casting")
        assert its_optimizer.state[other[0].weight]["exact"].dtype == torch.float64


def test_state_of_other_groups_is_refused(tmp_path: Path) -> None:
    model = network()
    tensors, values = training_tensors(model, optimizer_of(model, OPTIMIZERS["sgd"]))
    other = network()
    with pytest.raises(ValueError, match="groups"):
        load_training_tensors(other, torch.optim.SGD(other.parameters(), lr=0.1), tensors, values)
    with pytest.raises(ConfigError, match="configured model"):
        load_training_tensors(nn.Linear(2, 2), torch.optim.SGD(other.parameters(), lr=0.1), tensors, values)


def test_what_cannot_be_written_names_optimizer_and_key() -> None:
    model = network()
    optimizer = optimizer_of(model, OPTIMIZERS["sgd"])
    optimizer.param_groups[1]["hook"] = print
    with pytest.raises(TrainingError, match=r"in SGD optimizer\.param_groups\.1\.hook is of type builtins\."):
        training_tensors(model, optimizer)


def test_the_values_are_strict_json(tmp_path: Path) -> None:
    model = network()
    optimizer = optimizer_of(model, GroupScaled)
    _ = resumed(model, optimizer, GroupScaled, tmp_path)
    text = (tmp_path / "step-000000001" / "values.json").read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    groups = json.loads(text, parse_constant=refuse)["optimizer"]["tree"]["param_groups"]
    assert groups[0]["lowest"] == {"$": "float", "value": "inf"}


def test_an_lr_in_a_tensor_is_each_groups_own_and_filled_in_place() -> None:
    optimizer = optimizer_of(network(), OPTIMIZERS["LR in a tensor"])
    held = [group["lr"] for group in optimizer.param_groups]
    set_lr(optimizer, 0.5)
    assert [float(lr) for lr in held] == [0.25, 0.5]
    assert all(group["lr"] is lr for group, lr in zip(optimizer.param_groups, held, strict=True))


def test_the_bytes_of_a_state_count_shared_memory_once() -> None:
    model = network()
    size = sum(p.nbytes for p in model.parameters())
    optimizer = optimizer_of(model, FlatMomentum)
    assert state_nbytes(optimizer) == 0
    advance(model, optimizer, range(1))
    assert state_nbytes(optimizer) == size
    optimizer.state["watched"] = next(model.parameters()).detach()
    assert state_nbytes(optimizer) == size


class TestEvaluationWeights:
    def test_a_switching_optimizer_is_known_by_its_methods(self) -> None:
        parameters = [nn.Parameter(torch.zeros(1))]
        assert isinstance(Switching(parameters), SwitchingOptimizer)
        assert not isinstance(torch.optim.SGD(parameters, lr=0.1), SwitchingOptimizer)

    def test_they_are_judged_and_those_that_train_come_back_bit_for_bit(self) -> None:
        model = network()
        optimizer = optimizer_of(model, Switching)
        advance(model, optimizer, range(5))
        before = [p.detach().clone() for p in model.parameters()]
        states = [{k: v.clone() for k, v in s.items()} for s in optimizer.state.values()]
        with evaluation_weights(optimizer):
            for p, y in zip(model.parameters(), before, strict=True):
                z = optimizer.state[p]["z"]
                torch.testing.assert_close(p.detach(), (y - 0.1 * z) / 0.9, rtol=1e-4, atol=1e-6)
            assert not model[0].weight.equal(before[0])
        assert all(p.equal(y) for p, y in zip(model.parameters(), before, strict=True))
        after = optimizer.state.values()
        assert all(a[k].equal(b[k]) for a, b in zip(states, after, strict=True) for k in a)

    def test_they_come_back_after_a_failure(self) -> None:
        model = network()
        optimizer = optimizer_of(model, Switching)
        advance(model, optimizer, range(2))
        before = model[0].weight.detach().clone()
        with pytest.raises(KeyError), evaluation_weights(optimizer):
            raise KeyError
        assert model[0].weight.equal(before)
        advance(model, optimizer, range(2, 3))
