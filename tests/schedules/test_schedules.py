"""Every schedule against its published formula, or the same schedule of PyTorch or transformers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from refusals import told
from torch.optim import lr_scheduler
from transformers import (
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)

from autolrs_cli import schedules
from autolrs_cli.errors import ConfigError
from autolrs_cli.schedules import (
    Constant,
    Cosine,
    Cyclical,
    Greedy,
    InverseSquareRoot,
    InverseSquareRootAnytime,
    LinearDecay,
    LinearWarmup,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    WarmRestarts,
    WarmupStableDecay,
    WarmupStepDecay,
)

STEPS, WARMUP = 100, 10
PEAK = 0.3


def reference(make: Callable[..., Any], lr: float = PEAK, steps: int = STEPS, **settings: Any) -> list[float]:
    """The LRs that another library's scheduler gives to the first `steps` steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = make(optimizer, **settings)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


def ours(schedule: Any, steps: Sequence[int] = range(STEPS)) -> list[float]:
    assert schedule.problems("schedule") == []
    return [schedule.lr(step) for step in steps]


def assert_same_after_warm_up(schedule: Any, theirs: list[float]) -> None:
    """Transformers trains its first step at LR 0 and ours does not, so the warm-up is one step on."""
    assert ours(schedule, range(WARMUP, STEPS)) == pytest.approx(theirs[WARMUP:], rel=1e-9)
    assert ours(schedule, range(WARMUP)) == pytest.approx(theirs[1 : WARMUP + 1], rel=1e-9)


def test_a_warm_up_alone_is_that_of_the_other_schedules_and_knows_nothing_after_it() -> None:
    warmup = LinearWarmup(PEAK, WARMUP)
    assert ours(warmup, range(WARMUP)) == ours(Constant(PEAK, WARMUP), range(WARMUP))
    assert warmup.lr(WARMUP - 1) == PEAK
    for outside in (-1, WARMUP):
        with pytest.raises(ValueError, match=f"no LR for step {outside}"):
            warmup.lr(outside)


def test_inverse_square_root_is_the_papers() -> None:
    d_model, warmup = 512, 4000
    schedule = InverseSquareRoot(peak_lr=(d_model * warmup) ** -0.5, warmup_steps=warmup)
    for n in (1, 2, 3999, 4000, 4001, 100_000):
        published = d_model**-0.5 * min(n**-0.5, n * warmup**-1.5)
        assert schedule.lr(n - 1) == pytest.approx(published, rel=1e-12)


def test_inverse_square_root() -> None:
    theirs = reference(get_inverse_sqrt_schedule, steps=STEPS + 1, num_warmup_steps=WARMUP, timescale=WARMUP)
    assert ours(InverseSquareRoot(PEAK, WARMUP)) == pytest.approx(theirs[1:], rel=1e-9)


@pytest.mark.parametrize("knee_warmups", [1.0, 3.0, 4.55, 20.0])
def test_anytime_is_constant_up_to_its_knee_and_then_the_inverse_square_root(knee_warmups: float) -> None:
    """Step by step: once past the knee, each LR is the one before times sqrt((n - 1) / n)."""
    schedule = InverseSquareRootAnytime(PEAK, WARMUP, knee_warmups)
    knee, expected = knee_warmups * WARMUP, list[float]()
    for n in range(1, STEPS + 1):
        if n <= knee:
            expected.append(PEAK * min(1.0, n / WARMUP))
        elif n - 1 <= knee:
            expected.append(PEAK * (knee / n) ** 0.5)
        else:
            expected.append(expected[-1] * ((n - 1) / n) ** 0.5)
    assert ours(schedule) == pytest.approx(expected, rel=1e-12)
    if knee_warmups == 1:
        assert ours(schedule) == ours(InverseSquareRoot(PEAK, WARMUP))


def test_anytime_falls_as_transformers_inverse_square_root_of_the_knees_timescale() -> None:
    theirs = reference(get_inverse_sqrt_schedule, steps=STEPS + 1, num_warmup_steps=0, timescale=30)
    assert ours(InverseSquareRootAnytime(PEAK, WARMUP, 3.0), range(30, STEPS)) == pytest.approx(
        theirs[1 : STEPS - 30 + 1], rel=1e-9
    )


def test_linear() -> None:
    theirs = reference(get_linear_schedule_with_warmup, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    assert_same_after_warm_up(LinearDecay(PEAK, STEPS, WARMUP, 0.0), theirs)


def test_cosine() -> None:
    theirs = reference(get_cosine_schedule_with_warmup, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    assert_same_after_warm_up(Cosine(PEAK, STEPS, WARMUP, 0.0), theirs)


def test_cosine_with_a_floor() -> None:
    theirs = reference(lr_scheduler.CosineAnnealingLR, T_max=STEPS, eta_min=0.01)
    assert ours(Cosine(PEAK, STEPS, 0, 0.01)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_polynomial(power: float) -> None:
    theirs = reference(
        get_polynomial_decay_schedule_with_warmup,
        num_warmup_steps=WARMUP,
        num_training_steps=STEPS,
        lr_end=0.01,
        power=power,
    )
    assert_same_after_warm_up(PolynomialDecay(PEAK, STEPS, WARMUP, 0.01, power), theirs)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_warm_up_stable_decay(shape: str) -> None:
    theirs = reference(
        get_wsd_schedule,
        num_warmup_steps=WARMUP,
        num_decay_steps=20,
        num_stable_steps=STEPS - WARMUP - 20,
        decay_type=shape,
    )
    assert_same_after_warm_up(WarmupStableDecay(PEAK, STEPS, WARMUP, 0.0, 0.2, shape), theirs)  # type: ignore[arg-type]


def test_warm_up_stable_decay_by_the_square_root() -> None:
    """Haegele et al. 2024, Eq. (1): 1 - sqrt((n - (N - N_decay)) / N_decay)."""
    schedule = WarmupStableDecay(PEAK, STEPS, WARMUP, 0.0, 0.2, "sqrt")
    assert ours(schedule, [79, 80]) == [PEAK, PEAK]
    assert ours(schedule, [85, 99]) == pytest.approx([PEAK * 0.5, PEAK * (1 - 0.95**0.5)])


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_warm_restarts(factor: int) -> None:
    theirs = reference(lr_scheduler.CosineAnnealingWarmRestarts, T_0=7, T_mult=factor, eta_min=0.01)
    assert ours(WarmRestarts(PEAK, 0.01, 7, factor, 0)) == pytest.approx(theirs, rel=1e-9)
    delayed = WarmRestarts(PEAK, 0.01, 7, factor, WARMUP)
    assert ours(delayed, range(WARMUP, STEPS)) == pytest.approx(theirs[: STEPS - WARMUP], rel=1e-9)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclical(mode: str) -> None:
    theirs = reference(
        lr_scheduler.CyclicLR,
        base_lr=0.01,
        max_lr=PEAK,
        step_size_up=9,
        mode=mode,
        gamma=0.99,
        cycle_momentum=False,
    )
    assert ours(Cyclical(PEAK, 0.01, 9, mode, 0.99)) == pytest.approx(theirs, rel=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.3, 0.25])
def test_one_cycle(share: float) -> None:
    theirs = reference(
        lr_scheduler.OneCycleLR,
        steps=STEPS - 1,  # PyTorch refuses to go on after the last step
        max_lr=PEAK,
        total_steps=STEPS,
        pct_start=share,
        cycle_momentum=False,
    )
    schedule = OneCycle(PEAK, STEPS, share, 25.0, 1e4)
    assert ours(schedule, range(STEPS - 1)) == pytest.approx(theirs, rel=1e-9)
    assert schedule.lr(STEPS - 1) == pytest.approx(PEAK / 25 / 1e4)


def test_step_decay() -> None:
    theirs = reference(lr_scheduler.MultiStepLR, milestones=[30, 60], gamma=0.1)
    assert ours(WarmupStepDecay(PEAK, STEPS, 0, 0.0, [0.3, 0.6], 0.1)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    "schedule",
    [
        LinearDecay(1.0, 50, 0, 0.0),
        Cosine(1.0, 50, 0, 0.0),
        PolynomialDecay(1.0, 50, 0, 0.0, 2.0),
        WarmupStableDecay(1.0, 50, 0, 0.0, 0.2, "sqrt"),
        OneCycle(1.0, 50, 0.3, 25.0, 1e4),
        WarmRestarts(1.0, 0.0, 7, 2, 0),
        Constant(1.0, 5),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_no_step_of_a_run_is_trained_at_zero(schedule: Any) -> None:
    assert min(ours(schedule, range(50))) > 0


@pytest.mark.parametrize(
    ("kind", "settings", "key"),
    [
        (Constant, (float("nan"), 1), "peak_lr"),
        (Constant, (1.0, -1), "warmup_steps"),
        (Constant, (1.0, True), "warmup_steps"),
        (InverseSquareRoot, (0.0, 1), "peak_lr"),
        (InverseSquareRoot, (1.0, 0), "warmup_steps"),
        (InverseSquareRootAnytime, (1.0, 0, 2.0), "warmup_steps"),
        (InverseSquareRootAnytime, (1.0, 10, 0.5), "knee_warmups"),
        (Greedy, (1.0, 10, 2.0, 3.0, 0.5, 1, 1, 0, 0, 9), "min_lr"),
        (Greedy, (1.0, 10, 0.1, 0.5, 0.5, 1, 1, 0, 0, 9), "max_lr"),
        (Greedy, (1.0, 10, 0.1, 3.0, 1.0, 1, 1, 0, 0, 9), "factor"),
        (Greedy, (1.0, 10, 0.1, 3.0, 0.5, 1, 0, 0, 0, 9), "smoothing"),
        (LinearDecay, (1.0, 10, 10, 0.0), "warmup_steps"),
        (LinearDecay, (1.0, 10, 2.5, 0.0), "warmup_steps"),
        (LinearWarmup, (float("inf"), 1), "peak_lr"),
        (Cosine, (1.0, 10, 1, 2.0), "final_lr"),
        (Cosine, ("high", 10, 1, 0.0), "peak_lr"),
        (PolynomialDecay, (1.0, 10, 1, 0.0, 0.0), "power"),
        (ReduceOnPlateau, (1.0, 10, 1.0, 1, 1, 0.0), "factor"),
        (ReduceOnPlateau, (1.0, 10, 0.1, -1, 1, 0.0), "patience"),
        (ReduceOnPlateau, (1.0, 10, 0.1, 1, 1, 2.0), "min_lr"),
        (WarmupStableDecay, (1.0, 10, 5, 0.0, 0.9, "sqrt"), "decay_share"),
        (WarmupStableDecay, (1.0, 10, 5, 0.0, 0.0, "sqrt"), "decay_share"),
        (WarmupStableDecay, (1.0, 10, 5, 0.0, 0.1, "steep"), "shape"),
        (WarmupStepDecay, (1.0, 10, 1, 0.0, [0.5, 0.4], 0.1), "milestones"),
        (WarmupStepDecay, (1.0, 10, 1, 0.0, [0.5, 1.4], 0.1), "milestones[1]"),
        (WarmupStepDecay, (1.0, 10, 1, 0.0, "abc", 0.1), "milestones"),
        (WarmRestarts, (1.0, 0.0, 0, 2, 0), "first_period_steps"),
        (WarmRestarts, (1.0, 2.0, 1, 2, 0), "min_lr"),
        (WarmRestarts, (1.0, 0.0, 1, 0, 0), "period_factor"),
        (Cyclical, (1.0, 0.0, 5, "triangular", 0.9), "min_lr"),
        (Cyclical, (1.0, 0.1, 0, "triangular", 0.9), "half_period_steps"),
        (Cyclical, (1.0, 0.1, 5, "exp_range", 1.1), "decay"),
        (OneCycle, (1.0, 50, 0.3, 1.0, 1e4), "start_divisor"),
        (OneCycle, (1.0, 50, 1.0, 25.0, 1e4), "rise_share"),
        (OneCycle, (1.0, 50, 0.001, 25.0, 1e4), "rise_share"),
    ],
)
def test_a_wrong_setting_is_named_in_a_configuration_and_in_python(
    kind: type, settings: tuple[Any, ...], key: str
) -> None:
    names = list(inspect.signature(kind).parameters)
    (problem,) = told("the_node", kind)(**dict(zip(names, settings, strict=True)))
    assert f" the_node.{key}=" in problem
    with pytest.raises(ConfigError) as caught:
        raise ConfigError(kind(**dict(zip(names, settings, strict=True))).problems("the_node"))
    assert f"{key}=" in str(caught.value)


def test_wrong_values_and_broken_rules_are_said_at_once() -> None:
    said = told("schedule", Cosine)(peak_lr=-1, max_steps=10, warmup_steps=10, final_lr=-1)
    assert [problem.split(" must")[0] for problem in said] == [
        "`schedule.peak_lr`",
        "`schedule.final_lr`",
        "The warm-up",
    ]


def test_every_schedule_refuses_wrong_values_in_python() -> None:
    for name in schedules.__all__:
        kind = getattr(schedules, name)
        if inspect.isclass(kind):
            names = inspect.signature(kind).parameters
            with pytest.raises(ConfigError) as caught:
                kind(**dict.fromkeys(names, 0.5j))
            assert len(caught.value.problems) == len(names), name
