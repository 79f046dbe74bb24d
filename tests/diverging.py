"""Make the kept steps of a run diverge, as a function of the step and its LR alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from autolrs_cli.training.late_reading import MadeStep
from autolrs_cli.training.trainer import Trainer

ALWAYS = 0.0


def kept_loss(of: Callable[[int, float, float], float]) -> Any:
    """Patch the loss of kept steps outside of trials: `of(step, lr, loss)` takes its place."""
    settle = Trainer.settle

    def wrapped(self: Trainer, made: MadeStep, bucket: str) -> float:
        loss = settle(self, made, bucket)  # type: ignore[arg-type]
        return of(made.step, made.lr, loss) if bucket == "training" else loss

    return mock.patch.object(Trainer, "settle", wrapped)


def nan_from(step: int, above_lr: float, before: int = 50) -> Any:
    """Patch: a kept loss is NaN from `step` on, in the toy's first stage, if the LR is above a limit."""
    return kept_loss(lambda at, lr, loss: float("nan") if step <= at < before and lr > above_lr else loss)
