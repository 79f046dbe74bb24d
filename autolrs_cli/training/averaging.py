"""Weights averaged over the steps so far, evaluated beside the raw ones.

[Polyak1992] "Acceleration of stochastic approximation by averaging"; [Izmailov2018] arXiv 1803.05407 for BatchNorm:
an average of weights has activation statistics of its own; [Rakhlin2012] arXiv 1109.5647, Sec. 4, for the mean of the
last share of the steps ("suffix averaging").
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from autolrs_cli.settings import AverageSettings, EmaSettings, TailSettings


def averaged_weights(model: nn.Module, settings: AverageSettings) -> AveragedWeights:
    """Return the average that the settings ask for, of a model on its device, with its initial weights."""
    return MovingAverage(model, settings) if isinstance(settings, EmaSettings) else TailMean(model, settings)


class AveragedWeights(AveragedModel):
    """A copy of a model that holds an average of its parameters; buffers are those of the model.

    All that it remembers of the steps is in its own parameters and buffers, which snapshots and checkpoints hold.
    `update_parameters(model)` takes the weights after a step in.
    """

    module: nn.Module

    def read(self) -> nn.Module:
        """Return the copy, in eval mode, with the average as it is now."""
        return self.module


class MovingAverage(AveragedWeights):
    """An exponential moving average; one copy of the weights.

    Args:
        model: on its device, with its initial weights.
        settings: how far the average reaches back.
    """

    def __init__(self, model: nn.Module, settings: EmaSettings) -> None:
        super().__init__(model)
        self._settings = settings
        # Looking them up costs several times the average itself, and they stay the same tensors.
        self._weights = _tensors(self.module.parameters()), _tensors(model.parameters())
        self._buffers_of = _tensors(self.module.buffers()), _tensors(model.buffers())
        self.eval()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:  # noqa: ARG002 - torch's signature
        """Take in the weights of the model that this was made of."""
        if updates := int(self.n_averaged):
            torch._foreach_lerp_(*self._weights, 1.0 - decay_at(self._settings, updates))
        else:
            torch._foreach_copy_(*self._weights)
        if self._buffers_of[0]:
            torch._foreach_copy_(*self._buffers_of)
        self.n_averaged += 1


def _tensors(living: Iterable[Tensor]) -> list[Tensor]:
    return list(living)  # a list of parameters is none of tensors to a type checker


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


class Segments:
    """How the steps are cut, so that the mean of the last share of any number of them needs a few sums only.

    The cuts 0 = c_0 < c_1 < ... are c_(k+1) = max(c_k + 1, ceil(c_k * (1 - share)^(-1 / count))): they lie as closely
    in proportion at any time. The tail of n steps begins at the last cut that leaves `share * n` steps or more. It is
    `count` + 1 segments at most, and is shorter than 1 - (1 - share)^(1 + 1 / count) of the steps, but for rounding to
    a whole step.

    Args:
        share: of the steps, between 0 and 1.
        count: segments that a tail of exactly `share` is cut into.
    """

    def __init__(self, share: float, count: int) -> None:
        self._share = share
        self._growth = float((1 - share) ** (-1 / count))
        self._cuts = [0]

    def open(self, steps: int) -> tuple[int, int]:
        """Return which segment the last of `steps` >= 1 steps belongs to, and how many steps this has so far."""
        while self._cuts[-1] < steps:
            self._cuts.append(max(self._cuts[-1] + 1, math.ceil(self._cuts[-1] * self._growth)))
        number = bisect_left(self._cuts, steps) - 1
        return number, steps - self._cuts[number]

    def tail(self, steps: int) -> list[tuple[int, int]]:
        """Return the segments of the tail of `steps` >= 1 steps, oldest first: which, and its number of steps."""
        last, length = self.open(steps)
        first = bisect_right(self._cuts, 0.0, key=lambda cut: self._share * steps - (steps - cut)) - 1
        whole = [(number, self._cuts[number + 1] - self._cuts[number]) for number in range(first, last)]
        return [*whole, (last, length)]


class TailMean(AveragedWeights):
    """The plain mean over the last share of the steps so far; `segments` + 2 copies of the weights [Rakhlin2012]_.

    Args:
        model: on its device, with its initial weights.
        settings: which share.
    """

    def __init__(self, model: nn.Module, settings: TailSettings) -> None:
        super().__init__(model)
        self._cut = Segments(settings.share, settings.segments)
        self._means: list[list[Tensor]] = []
        """Of each segment that may be in a tail, in a ring."""
        for number in range(settings.segments + 1):
            self._means.append([torch.zeros_like(parameter) for parameter in self._own])
            for place, tensor in enumerate(self._means[-1]):
                self.register_buffer(f"segment{number}_{place}", tensor)
        self.eval()

    @property
    def _own(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.module.parameters()]

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights after a step into the mean of the open segment; `read` makes the tail's of them."""
        number, steps = self._cut.open(int(self.n_averaged) + 1)
        mean = self._means[number % len(self._means)]
        _take_in(mean, [parameter.detach() for parameter in model.parameters()], 1, steps)
        for own, its in zip(self.module.buffers(), model.buffers(), strict=True):
            own.copy_(its)
        self.n_averaged += 1

    @torch.no_grad()
    def read(self) -> nn.Module:
        """Return the copy, in eval mode, with the average as it is now; before the first step, the initial weights."""
        so_far, tail = 0, self._cut.tail(int(self.n_averaged)) if self.n_averaged else []
        for number, steps in tail:
            so_far += steps
            _take_in(self._own, self._means[number % len(self._means)], steps, so_far)
        return self.module


def _take_in(mean: list[Tensor], more: list[Tensor], steps: int, of: int) -> None:
    """Make `mean` the mean of `of` steps, when `more` is that of the last `steps` of them."""
    if steps == of:  # what stood there before does not count, even where it is not finite
        torch._foreach_copy_(mean, more)
    else:
        torch._foreach_lerp_(mean, more, steps / of)


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers whose running statistics fit only the weights that they were gathered with."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
