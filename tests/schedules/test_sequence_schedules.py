"""The published formulas, and the same schedules of other libraries."""

from __future__ import annotations

import pytest
import torch
from transformers import get_inverse_sqrt_schedule, get_linear_schedule_with_warmup

from autolrs_cli.schedules import InverseSquareRoot, LinearDecay


def reference(make, steps: int, **settings) -> list[float]:
    """The LRs that another library's scheduler gives to the first `steps` steps, for a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **settings)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


def test_inverse_square_root_is_the_papers():
    d_model, warmup = 512, 4000
    schedule = InverseSquareRoot(peak_lr=(d_model * warmup) ** -0.5, warmup_steps=warmup)
    for n in (1, 2, 3999, 4000, 4001, 100_000):
        published = d_model**-0.5 * min(n**-0.5, n * warmup**-1.5)
        assert schedule.lr(n - 1) == pytest.approx(published, rel=1e-12)


def test_inverse_square_root_is_that_of_transformers_one_step_on():
    ours = InverseSquareRoot(peak_lr=1.0, warmup_steps=20)
    theirs = reference(get_inverse_sqrt_schedule, 101, num_warmup_steps=20, timescale=20)
    # Transformers trains its first step at LR 0; the paper counts steps from 1.
    assert [ours.lr(step) for step in range(100)] == pytest.approx(theirs[1:], rel=1e-12)


def test_linear_decay_is_that_of_transformers_after_the_warm_up():
    ours = LinearDecay(peak_lr=1.0, max_steps=100, warmup_steps=10)
    theirs = reference(get_linear_schedule_with_warmup, 100, num_warmup_steps=10, num_training_steps=100)
    assert [ours.lr(step) for step in range(10, 100)] == pytest.approx(theirs[10:], rel=1e-12)
    assert [ours.lr(step) for step in range(10)] == pytest.approx(theirs[1:11], rel=1e-12)


def test_linear_decay_leaves_no_step_without_a_learning_rate():
    schedule = LinearDecay(peak_lr=1.0, max_steps=50, warmup_steps=0)
    assert min(schedule.lr(step) for step in range(50)) > 0
    assert schedule.lr(50) == 0


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        (InverseSquareRoot(peak_lr=0.0, warmup_steps=1), "peak_lr"),
        (InverseSquareRoot(peak_lr=1.0, warmup_steps=0), "warmup_steps"),
        (InverseSquareRoot(peak_lr=1.0, warmup_steps=-1), "warmup_steps"),
        (LinearDecay(peak_lr=1.0, max_steps=10, warmup_steps=10), "warmup_steps"),
        (LinearDecay(peak_lr=float("nan"), max_steps=10, warmup_steps=1), "peak_lr"),
    ],
)
def test_a_wrong_setting_is_named(schedule, key):
    (problem,) = schedule.problems()
    assert f"original_schedule.{key}" in problem
