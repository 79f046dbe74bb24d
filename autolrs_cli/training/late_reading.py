"""Losses that stay on the device until they are needed, so that nobody waits for it in every step.

Where the device works by itself (CUDA), the loop hands it step n + 1 before it reads the loss of step n. That is exact:

- All that a run writes down of a step, and all that it decides, is done when the loss is read, in the order of the
  steps, and before anything of the next step. So the journal, the ledger's steps and the verdicts are those of a loop
  that waits.
- When a loss ends something (it is not finite; the divergence watch or a policy says stop), one step more than that has
  been made. It is counted nowhere, and what it changed is dropped: a run that diverged ends there, a stage that
  diverged is taken back to its start, and so is a trial. The exception would be a trial whose end state may be kept;
  so `Prober` reads at once where the policy that keeps ends has a say.
- What goes wrong with step n + 1 (a request to stop, an example that cannot be read) comes after step n, whose loss
  is read first, and may be the reason why there should have been no step n + 1.
- Where the state of the device must be that of the step that was read (evaluations, kept weights, resume points, the
  end of a segment), the loss is read at once.

On the CPU, and where several processes agree on each step anyway, every loss is read at once: there is nobody to wait
for, or no way not to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsFloat

import torch
from torch import Tensor

from autolrs_cli.training.world import World


def reads_late(device: torch.device, world: World) -> bool:
    """Tell whether the loop may go on before it has read a step's loss."""
    return device.type == "cuda" and world.size == 1


def mean_loss(loss_sum: Tensor, weight: float) -> SupportsFloat:
    """Return `loss_sum / weight`; what lies on a device is read there when `float` asks for it."""
    return PendingLoss(loss_sum, weight) if loss_sum.is_cuda else float(loss_sum) / weight


class PendingLoss:
    """The mean loss of a step that was handed to the device; `float` waits for that step, and for none after it.

    Args:
        loss_sum: scalar, on the device.
        weight: the number of its terms.
    """

    def __init__(self, loss_sum: Tensor, weight: float) -> None:
        # Reading the tensor itself would wait for all that is queued until then: for the next step.
        self._sum = torch.empty_like(loss_sum, device="cpu", pin_memory=True)
        self._sum.copy_(loss_sum, non_blocking=True)
        self._weight = weight
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()

    def __float__(self) -> float:
        self._arrived.synchronize()
        return float(self._sum) / self._weight


@dataclass(frozen=True)
class MadeStep:
    """An optimizer step that was handed to the device."""

    step: int
    """The kept step it belongs to, 0-based over the run, or what its maker counts."""
    lr: float
    loss: SupportsFloat
    examples: int
    at_once: bool
    """Whether the next step must wait until this one is dealt with."""


def in_order(steps: Iterator[MadeStep]) -> Iterator[MadeStep]:
    """Yield each step when its loss is to be read: when the next one has been made, or at once.

    An error in making a step is raised after the step before was yielded; if that is the last one that is asked for,
    it is not raised at all.
    """
    before: MadeStep | None = None
    while True:
        try:
            made = next(steps, None)
        except Exception:
            if before is not None:
                yield before
            raise
        if before is not None:
            yield before
        if made is None:
            return
        before = made
        if made.at_once:
            yield made
            before = None
