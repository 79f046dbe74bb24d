"""GreedyLR, against transformers' own class and in whole runs."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
import transformers
from harness import events, toy

from autolrs_cli.schedules import Greedy

WARMUP, EVERY, PEAK = 10, 20, 0.3
SETTINGS = {
    "peak_lr": PEAK,
    "warmup_steps": WARMUP,
    "min_lr": 0.05,
    "max_lr": 1.0,
    "factor": 0.8,
    "patience": 1,
    "smoothing": 1,
    "cooldown": 0,
    "rise_cooldown": 0,
    "reset_after": 500,
}


def greedy(**settings: float) -> Greedy:
    return Greedy(**{**SETTINGS, **settings})  # type: ignore[arg-type]


def told(schedule: Greedy, losses: list[float], first: int = 1) -> list[float]:
    """Tell a schedule the losses of evaluations `first` and following; return the LR after each."""
    lrs = []
    for number, loss in enumerate(losses, first):
        schedule.observe(WARMUP + number * EVERY, loss)
        lrs.append(schedule.lr(WARMUP + number * EVERY))
    return lrs


def losses(seed: int, count: int) -> list[float]:
    """A loss that falls, with stretches in which it does not."""
    draw = random.Random(seed)
    return [1 / (1 + (n % 60) / 10) + draw.uniform(0, 0.05) for n in range(count)]


@pytest.mark.skipif(not hasattr(transformers, "GreedyLR"), reason="this transformers has no GreedyLR")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"patience": 0, "factor": 0.5},
        {"patience": 3, "cooldown": 2, "rise_cooldown": 1},
        {"smoothing": 5},
        {"patience": 0, "reset_after": 3, "cooldown": 1, "smoothing": 2},
    ],
    ids=["plain", "impatient", "cooldowns", "smoothed", "resetting"],
)
def test_it_moves_where_transformers_does(settings: dict[str, Any]) -> None:
    chosen = {**SETTINGS, **settings}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    theirs = transformers.GreedyLR(  # type: ignore[attr-defined]
        optimizer,
        factor=chosen["factor"],
        patience=chosen["patience"],
        cooldown=chosen["cooldown"],
        warmup=chosen["rise_cooldown"],
        min_lr=chosen["min_lr"],
        max_lr=chosen["max_lr"],
        eps=0.0,
        smooth=chosen["smoothing"] > 1,
        window_size=chosen["smoothing"],
        reset_start=chosen["reset_after"],
    )
    expected = []
    for loss in losses(0, 240):
        theirs.step(loss)
        expected.append(optimizer.param_groups[0]["lr"])
    assert told(greedy(**settings), losses(0, 240)) == expected
    steps = {a < b for a, b in itertools.pairwise(expected) if a != b}
    assert steps == {True, False}, "the losses must make it rise and fall"
    if "reset_after" in settings:
        leaps = [b for a, b in itertools.pairwise(expected) if a == chosen["min_lr"] and b == PEAK]
        assert leaps, "the losses must make it begin again"


def test_it_stays_between_its_bounds_and_reaches_both() -> None:
    better = [1 - n / 100 for n in range(50)]
    lrs = told(greedy(), [*better, *[2.0] * 50])
    assert (max(lrs), min(lrs)) == (1.0, 0.05)


def test_the_warm_up_is_linear_and_its_losses_do_not_count() -> None:
    schedule = greedy(patience=0)
    for step in range(1, WARMUP):
        schedule.observe(step, 1.0 / step)
    assert [schedule.lr(step) for step in range(WARMUP)] == pytest.approx([0.03 * n for n in range(1, 11)])
    assert schedule.lr(WARMUP) == PEAK


def test_a_loss_that_is_not_finite_counts_as_no_better_and_is_forgotten() -> None:
    schedule = greedy(smoothing=2, patience=0)
    assert told(schedule, [1.0, math.nan, math.inf, 0.9, 0.8])[1:] == pytest.approx(
        [PEAK, PEAK * 0.8, PEAK * 0.64, PEAK * 0.8]
    )


@pytest.mark.parametrize("cut", [1, 7, 30, 61])
def test_it_goes_on_from_its_state(cut: int) -> None:
    settings = {"smoothing": 3, "cooldown": 1, "patience": 0, "reset_after": 4}
    seen = [*losses(1, 20), math.nan, *losses(2, 60)]
    whole, first, second = greedy(**settings), greedy(**settings), greedy(**settings)
    expected = told(whole, seen)
    told(first, seen[:cut])
    second.load_state_dict(orjson.loads(orjson.dumps(first.state_dict())))
    assert second.lr(10**6) == first.lr(10**6)
    assert told(second, seen[cut:], cut + 1) == expected[cut:]


def test_a_run_moves_by_the_slice_that_chooses(tmp_path: Path) -> None:
    settings = (
        "schedule.patience=0",
        "run.eval_every_steps=5",
        "schedule.max_lr=0.7",
        "schedule.peak_lr=0.3",
    )
    assert toy(tmp_path, "schedule=greedy", *settings).status == "done"
    lrs = [r["lr"] for r in events(tmp_path, "step")][WARMUP:]
    moves = [b / a for a, b in itertools.pairwise(lrs) if a != b]
    assert {m > 1 for m in moves} == {True, False}
    assert max(lrs) <= 0.7
    changes = [place for place, (a, b) in enumerate(itertools.pairwise(lrs), WARMUP + 1) if a != b]
    assert all(step % 5 == 0 for step in changes), "only where it was told a loss"
