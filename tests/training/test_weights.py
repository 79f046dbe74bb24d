"""Weights on disk: whole, loadable into a living model, and averaged as published."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from autolrs_cli.errors import ConfigError
from autolrs_cli.training.weights import LastCheckpoints, load_weights, save_weights


def model(seed: int = 0) -> nn.Module:
    """Tied weights, a memory format that safetensors does not know, and buffers."""
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(5, 5), nn.Linear(5, 5))
    made[3].weight = made[2].weight
    return made.to(memory_format=torch.channels_last)


def test_weights_come_back_into_a_model_that_stays_tied_and_channels_last(tmp_path: Path) -> None:
    saved, other = model(0), model(1)
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(
        a.equal(b) for a, b in zip(saved.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert other[3].weight is other[2].weight
    assert other[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_parameters_that_are_slices_of_one_buffer_come_back_as_such(tmp_path: Path) -> None:
    """As cuDNN's recurrent layers and flattening optimizers lay them."""
    saved, other = (flattened(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))) for _ in range(2))
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(a.equal(b) for a, b in zip(saved.parameters(), other.parameters(), strict=True))
    assert len({p.untyped_storage().data_ptr() for p in other.parameters()}) == 1


def flattened(model: nn.Module) -> nn.Module:
    parameters = list(model.parameters())
    flat = torch.cat([p.detach().flatten() for p in parameters])
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.data = part.view(p.shape)
    return model


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(2, 3), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="configured model"):
        load_weights(nn.Linear(3, 3), tmp_path / "w.safetensors")


@pytest.mark.parametrize("damage", [b"", b"not a safetensors file", None])
def test_a_file_that_is_none_is_named(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 3), path)
    if damage is None:
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.write_bytes(damage)
    with pytest.raises(ConfigError, match=r"w\.safetensors"):
        load_weights(nn.Linear(2, 3), path)


class TestLastCheckpoints:
    def test_the_mean_is_that_of_the_last_ones(self, tmp_path: Path) -> None:
        kept = LastCheckpoints(tmp_path / "averaging", count=3, every_steps=1)
        models = [model(seed) for seed in range(5)]
        for step, each in enumerate(models, 1):
            kept.keep(each, step)
        assert kept.steps() == [1, 2, 3, 4, 5]
        before = copy.deepcopy(models[-1].state_dict())
        mean = kept.mean(models[-1], 5, last=True)
        for name, parameter in mean.named_parameters():
            expected = sum(dict(m.named_parameters())[name].detach().double() for m in models[2:]) / 3
            assert torch.allclose(parameter.double(), expected, atol=1e-7)
        assert mean[3].weight is mean[2].weight
        # The training state is not touched.
        assert all(before[name].equal(value) for name, value in models[-1].state_dict().items())

    def test_what_a_resumed_run_could_ask_for_is_kept(self, tmp_path: Path) -> None:
        kept = LastCheckpoints(tmp_path / "averaging", count=2, every_steps=10)
        for step in (10, 20, 30, 40, 50):
            kept.keep(model(), step)
        kept.prune(resumable_step=35)
        assert kept.steps() == [
            20,
            30,
            40,
            50,
        ]  # at step 40 the mean is that of 30 and 40, at 39 of 20 and 30
        kept.drop_after(35)
        assert kept.steps() == [20, 30]

    def test_buffers_are_the_latest(self, tmp_path: Path) -> None:
        kept = LastCheckpoints(tmp_path / "averaging", count=2, every_steps=1)
        one = model()
        kept.keep(one, 1)
        one[1].running_mean.fill_(7.0)
        assert (kept.mean(one, 1, last=True)[1].running_mean == 7).all()

    def test_with_none_it_is_the_model_as_it_is(self, tmp_path: Path) -> None:
        one = model()
        mean = LastCheckpoints(tmp_path / "averaging", count=5, every_steps=1).mean(one, 0, last=False)
        assert all(a.equal(b) for a, b in zip(one.parameters(), mean.parameters(), strict=True))

    def test_a_missing_file_is_named_not_averaged_away(self, tmp_path: Path) -> None:
        kept = LastCheckpoints(tmp_path / "averaging", count=2, every_steps=10)
        one = model()
        for step in (10, 20, 25):
            kept.keep(one, step)
        kept.mean(one, 25, last=True)
        (tmp_path / "averaging" / "weights-000000020.safetensors").unlink()
        with pytest.raises(ConfigError, match="steps 20, 25"):
            kept.mean(one, 25, last=True)
