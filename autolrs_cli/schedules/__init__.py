"""Baseline schedules: pure functions from the 0-based optimizer step to the base LR of that step."""

from autolrs_cli.schedules.basic import Constant, WarmupStepDecay, linear_warmup

__all__ = ["Constant", "WarmupStepDecay", "linear_warmup"]
