"""Weights averaged over the steps so far, evaluated beside the raw ones.

[Polyak1992] "Acceleration of stochastic approximation by averaging"; [Izmailov2018] arXiv 1803.05407 for BatchNorm:
an average of weights has activation statistics of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from autolrs_cli.settings import EmaSettings


def decay_at(settings: EmaSettings, updates: int) -> float:
    """Return the weight of the old average after `updates` >= 1 averaged steps, of which the next is one more.

    With `window`, the average reaches back over that share of the steps so far: 1 - 1 / max(1, window * steps). With
    `decay`, it is min(decay, (1 + steps) / (10 + steps)), so that the initial weights do not weigh on a short run (as
    in TensorFlow's ExponentialMovingAverage with num_updates).
    """
    steps = updates + 1
    if settings.window is not None:
        return 1.0 - 1.0 / max(1.0, settings.window * steps)
    assert settings.decay is not None
    return min(settings.decay, (1 + steps) / (10 + steps))


class AveragedWeights(AveragedModel):
    """A copy of a model that holds the average of its parameters; buffers are those of the model.

    Args:
        model: on its device, with its initial weights.
        settings: how far the average reaches back.
    """

    def __init__(self, model: nn.Module, settings: EmaSettings) -> None:
        super().__init__(model, multi_avg_fn=self._average)
        self._settings = settings
        self.eval()

    def _average(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _count: Any) -> None:
        # The count that torch hands over lies on the device; this one does not, so reading it waits for nothing.
        weight = 1.0 - decay_at(self._settings, int(self.n_averaged))
        torch._foreach_lerp_(list(averaged), list(current), weight)


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers whose running statistics fit only the weights that they were gathered with."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
