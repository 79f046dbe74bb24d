"""Reduce on plateau: an LR that depends on how the run goes."""

from __future__ import annotations

from typing import Any, ClassVar

from autolrs_cli.schedules.basic import linear_warmup
from autolrs_cli.schedules.checks import floor_problems
from autolrs_cli.values import NonNegativeFloat, NonNegativeInt, PositiveFloat, ProperFraction, checked

# A loss must fall by this share to count as better: torch's default.
THRESHOLD = 1e-4


@checked
class ReduceOnPlateau:
    """Linear warm-up, then `peak_lr` times `factor` whenever the held-out loss has stopped falling.

    PyTorch's ReduceLROnPlateau decides. It is told the loss of the slice that chooses LRs at each evaluation after
    the warm-up.

    Args:
        peak_lr: LR after the warm-up.
        warmup_steps: length of the warm-up.
        factor: what the LR is multiplied by.
        patience: evaluations in a row without a better loss that are let pass.
        cooldown: evaluations after a reduction that do not count.
        min_lr: the LR goes no lower.
    """

    decays: ClassVar[bool] = False

    def __init__(
        self,
        *,
        peak_lr: PositiveFloat,
        warmup_steps: NonNegativeInt,
        factor: ProperFraction,
        patience: NonNegativeInt,
        cooldown: NonNegativeInt,
        min_lr: NonNegativeFloat,
    ) -> None:
        self.peak_lr = peak_lr
        self.warmup_steps = warmup_steps
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._seen: list[float] = []
        self._lr = peak_lr

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based), as far as the losses so far decide it."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self._lr

    def observe(self, step: int, loss: float) -> None:
        """Take in the loss of the slice that chooses LRs after `step` kept steps."""
        if step < self.warmup_steps:
            return
        self._seen.append(loss)
        self._lr = self._decide()

    def _decide(self) -> float:
        # Rebuilt from all losses, of which there are few: so the state of a run is a list of numbers.
        import torch
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=self.peak_lr)
        scheduler = ReduceLROnPlateau(
            optimizer,
            factor=self.factor,
            patience=self.patience,
            threshold=THRESHOLD,
            cooldown=self.cooldown,
            min_lr=self.min_lr,
            eps=0.0,
        )
        for loss in self._seen:
            scheduler.step(loss)
        return float(optimizer.param_groups[0]["lr"])

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        return floor_problems("min_lr", self.min_lr, self.peak_lr, at)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses so far, as JSON; one that is not finite is null."""
        return {"seen": [loss if loss - loss == 0 else None for loss in self._seen]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._seen = [float("inf") if loss is None else loss for loss in state["seen"]]
        self._lr = self._decide()
