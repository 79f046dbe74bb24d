"""What only a CUDA device can show. Deselected by default: `pytest -m gpu`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from harness import assert_equal_weights, events, run
from torch import nn

from autolrs_cli.training.snapshot import Snapshot

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
TINY = ("recipe=resnet50", "scale=tiny", "search=paper", "runtime.device=cuda", "dashboard=none")


@pytest.mark.parametrize("location", ["auto", "device", "host"])
@pytest.mark.parametrize("before", [0, 3], ids=["untrained", "trained"])
def test_what_follows_a_restore_is_what_followed_the_save(location: str, before: int) -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.Dropout(0.3), nn.Linear(32, 4)).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)

    def advance(steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 8, device="cuda")).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    advance(before)
    snapshot = Snapshot(model, optimizer, location)
    snapshot.save()
    first = advance(5)
    snapshot.restore()
    assert advance(5) == first, "dropout and data drew the same numbers from the device's stream"


def test_a_host_snapshot_lies_in_pinned_memory() -> None:
    model = nn.Linear(8, 8).cuda()
    snapshot = Snapshot(model, torch.optim.SGD(model.parameters(), lr=0.1), "host")
    snapshot.save()
    assert all(copy.device.type == "cpu" and copy.is_pinned() for copy in snapshot._copies.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_run(tmp_path: Path, precision: str) -> None:
    for name, workers in (("one", 0), ("two", 2)):
        run(tmp_path / name, *TINY, f"runtime.precision={precision}", f"runtime.workers={workers}")
    assert_equal_weights(tmp_path / "one", tmp_path / "two")
    assert len(events(tmp_path / "one", "lr_chosen")) == 3
