"""A restore brings back everything that training changes, into the tensors that are there."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from own_optimizers import FlatMomentum, GroupScaled, OwnKeys, Switching
from torch import nn

from autolrs_cli.training.snapshot import Snapshot

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "adam, LR in a tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "one buffer for all parameters": lambda p: FlatMomentum(p, lr=0.01),
    "state in the groups": lambda p: GroupScaled(p, lr=0.01),
    "a state_dict of its own": lambda p: OwnKeys(p, lr=0.01),
    "other weights in training": lambda p: trained(Switching(p, lr=0.01)),
}


def trained(optimizer: Switching) -> Switching:
    optimizer.train()
    return optimizer


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.2), nn.Flatten(), nn.Linear(8 * 36, 4))
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    model.register_buffer("hidden", torch.zeros(3), persistent=False)
    return model


def advance(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        noise = random.random() + np.random.rand()  # noqa: NPY002 - other people's models draw from it
        loss = model(torch.randn(4, 3, 8, 8)).square().mean() + noise
        loss.backward()
        optimizer.step()
        model.hidden += 1
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("before", [0, 3], ids=["untrained", "trained"])
def test_what_follows_a_restore_is_what_followed_the_save(name: str, before: int) -> None:
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    advance(model, optimizer, before)
    snapshot = Snapshot(model, optimizer)
    snapshot.save()
    began = any(optimizer.state.values())
    first = advance(model, optimizer, 5)
    for _ in range(2):
        snapshot.restore()
        assert float(model.hidden[0]) == before
        if name != "a state_dict of its own":
            assert any(optimizer.state.values()) == began, "an optimizer that had no state has none again"
        assert advance(model, optimizer, 5) == first


def test_buffers_are_allocated_once() -> None:
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    advance(model, optimizer, 1)
    snapshot = Snapshot(model, optimizer)
    snapshot.save()
    addresses = {key: copy.data_ptr() for key, copy in snapshot._copies.items()}
    state = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    state += sum(v.nbytes for s in optimizer.state.values() for v in s.values())
    for _ in range(3):
        advance(model, optimizer, 2)
        snapshot.restore()
        snapshot.save()
    assert {key: copy.data_ptr() for key, copy in snapshot._copies.items()} == addresses
    assert snapshot.nbytes == state, "one copy of the training state, no more"


def test_tensors_and_lists_in_groups_are_kept_by_value() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1))
    group = optimizer.param_groups[0]
    group["history"], group["scale"] = [1, {"a": [2.0]}], torch.ones(3)
    held = group["lr"], group["scale"]
    snapshot = Snapshot(model, optimizer)
    snapshot.save()
    for _ in range(2):
        group["lr"].fill_(5.0)
        group["scale"].zero_()
        group["history"][1]["a"].append(3.0)
        group["later"] = torch.zeros(2)
        snapshot.restore()
        assert (float(group["lr"]), group["scale"].tolist()) == (pytest.approx(0.1), [1, 1, 1])
        assert group["history"] == [1, {"a": [2.0]}]
        assert "later" not in group
        assert (group["lr"].data_ptr(), group["scale"].data_ptr()) == tuple(t.data_ptr() for t in held)


def test_two_snapshots_of_one_optimizer_do_not_meet() -> None:
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    start, end = Snapshot(model, optimizer), Snapshot(model, optimizer)
    start.save()
    advance(model, optimizer, 3)
    end.save()
    after = advance(model, optimizer, 3)
    start.restore()
    assert not optimizer.state
    advance(model, optimizer, 1)
    end.restore()
    assert advance(model, optimizer, 3) == after


def test_memory_of_a_state_is_not_what_was_rebound_to_it() -> None:
    """A state that has become the parameter's own memory by the time it is restored gets memory of its own again."""
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.state[model.weight]["anchor"] = torch.full((2, 2), 7.0)
    snapshot = Snapshot(model, optimizer)
    snapshot.save()
    before = model.weight.detach().clone()
    optimizer.state[model.weight]["anchor"] = model.weight.detach()
    snapshot.restore()
    assert model.weight.detach().equal(before)
    assert optimizer.state[model.weight]["anchor"].tolist() == [[7, 7], [7, 7]]


def test_a_restore_keeps_the_tensors_and_their_memory_format() -> None:
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    snapshot = Snapshot(model, optimizer)
    snapshot.save()
    advance(model, optimizer, 1)
    held = {name: (p.data_ptr(), p.stride()) for name, p in model.named_parameters()}
    snapshot.restore()
    assert {name: (p.data_ptr(), p.stride()) for name, p in model.named_parameters()} == held


def test_a_later_save_without_optimizer_state_forgets_the_earlier_one() -> None:
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    snapshot = Snapshot(model, optimizer)
    advance(model, optimizer, 1)
    snapshot.save()
    optimizer.state.clear()
    snapshot.save()
    advance(model, optimizer, 1)
    snapshot.restore()
    assert not optimizer.state


def test_restoring_before_saving_says_what_to_do() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="save"):
        Snapshot(model, OPTIMIZERS["sgd"](model.parameters())).restore()
