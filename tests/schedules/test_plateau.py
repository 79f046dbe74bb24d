"""Reduce on plateau, against PyTorch's own scheduler and in whole runs."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from harness import events, toy
from torch.optim.lr_scheduler import ReduceLROnPlateau

from autolrs_cli.schedules import ReduceOnPlateau

WARMUP, EVERY = 10, 20
LOSSES = [1.0, 0.8, 0.79999, 0.81, 0.9, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.5, 0.6, 0.6, 0.6, 0.6]


def plateau(**settings: float) -> ReduceOnPlateau:
    values = {
        "peak_lr": 0.3,
        "warmup_steps": WARMUP,
        "factor": 0.5,
        "patience": 1,
        "cooldown": 1,
        "min_lr": 0.02,
    }
    return ReduceOnPlateau(**{**values, **settings})  # type: ignore[arg-type]


def test_it_reduces_where_pytorchs_does() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.02, eps=0.0)
    ours = plateau()
    seen = []
    for number, loss in enumerate(LOSSES, 1):
        ours.observe(WARMUP + number * EVERY, loss)
        theirs.step(loss)
        seen.append((ours.lr(WARMUP + number * EVERY), optimizer.param_groups[0]["lr"]))
    assert [a for a, _ in seen] == [b for _, b in seen]
    assert len({a for a, _ in seen}) >= 4, "the losses must make it reduce"


def test_the_warm_up_is_linear_and_its_losses_do_not_count() -> None:
    schedule = plateau(patience=0)
    for step in range(1, WARMUP):
        schedule.observe(step, 1.0)
    assert [schedule.lr(step) for step in range(WARMUP)] == pytest.approx([0.03 * n for n in range(1, 11)])
    assert schedule.lr(WARMUP) == 0.3


def test_it_goes_on_from_its_state() -> None:
    whole, first = plateau(), plateau()
    for number, loss in enumerate([*LOSSES[:6], math.nan, *LOSSES[6:]], 1):
        whole.observe(WARMUP + number * EVERY, loss)
        if number <= 9:
            first.observe(WARMUP + number * EVERY, loss)
    second = plateau()
    second.load_state_dict(first.state_dict())
    assert second.lr(999) == first.lr(999)
    for number, loss in enumerate(LOSSES[8:], 10):
        second.observe(WARMUP + number * EVERY, loss)
    assert second.lr(999) == whole.lr(999)


def test_a_run_reduces_by_the_slice_that_chooses(tmp_path: Path) -> None:
    settings = (
        "schedule.patience=0",
        "run.eval_every_steps=5",
        "schedule.factor=0.5",
        "schedule.peak_lr=1.0",
    )
    assert toy(tmp_path, "schedule=plateau", *settings).status == "done"
    lrs = [r["lr"] for r in events(tmp_path, "step")][WARMUP:]
    steps_down = sorted(set(lrs), reverse=True)
    assert lrs == sorted(lrs, reverse=True)
    assert len(steps_down) >= 3
    assert all(b == pytest.approx(a / 2) for a, b in itertools.pairwise(steps_down))
