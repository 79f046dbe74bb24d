"""Baseline schedules: pure functions from the 0-based optimizer step to the base LR of that step."""

from autolrs_cli.schedules.basic import Constant, LinearWarmup, WarmupStepDecay, linear_warmup
from autolrs_cli.schedules.cyclic import Cyclical, OneCycle, WarmRestarts
from autolrs_cli.schedules.decaying import (
    Cosine,
    InverseSquareRoot,
    InverseSquareRootAnytime,
    LinearDecay,
    PolynomialDecay,
    WarmupStableDecay,
)
from autolrs_cli.schedules.greedy import Greedy
from autolrs_cli.schedules.plateau import ReduceOnPlateau
from autolrs_cli.schedules.replay import Replay

__all__ = [
    "Constant",
    "Cosine",
    "Cyclical",
    "Greedy",
    "InverseSquareRoot",
    "InverseSquareRootAnytime",
    "LinearDecay",
    "LinearWarmup",
    "OneCycle",
    "PolynomialDecay",
    "ReduceOnPlateau",
    "Replay",
    "WarmRestarts",
    "WarmupStableDecay",
    "WarmupStepDecay",
    "linear_warmup",
]
