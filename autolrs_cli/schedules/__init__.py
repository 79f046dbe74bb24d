"""Baseline schedules: pure functions from the 0-based optimizer step to the base LR of that step."""

from autolrs_cli.schedules.basic import Constant, WarmupStepDecay, linear_warmup
from autolrs_cli.schedules.sequence import InverseSquareRoot, LinearDecay

__all__ = ["Constant", "InverseSquareRoot", "LinearDecay", "WarmupStepDecay", "linear_warmup"]
