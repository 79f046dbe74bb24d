"""GreedyLR: an LR that rises while the held-out loss improves, and falls while it does not.

[Subramanian2025] Subramanian, Krishnamoorthy & Murthy, "Dynamic Learning Rate Scheduling based on Loss Changes Leads to
Faster Convergence", arXiv 2512.14527; the rule in full is that of transformers' `GreedyLR`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, ClassVar

from autolrs_cli.schedules.basic import linear_warmup
from autolrs_cli.schedules.checks import floor_problems
from autolrs_cli.values import NonNegativeInt, PositiveFloat, PositiveInt, ProperFraction, checked

# A loss must fall by this much to count as better: transformers' default.
THRESHOLD = 1e-6


@dataclass
class _Course:
    """What the rule remembers."""

    lr: float
    window: list[float] = field(default_factory=list)
    """The latest losses, whose mean is judged."""
    best: float = math.inf
    good: int = 0
    """Evaluations in a row with a better loss; `bad`: without."""
    bad: int = 0
    ignored: int = 0
    """Evaluations to come that do not count."""
    at_floor: int = 0
    """Reductions asked for in a row, rises apart, that ended at the lower bound."""


@checked
class Greedy:
    """Linear warm-up, then `peak_lr` divided by `factor` as long as the held-out loss gets better, and times it if not.

    It is told the loss of the slice that chooses LRs at each evaluation after the warm-up, as transformers' Trainer
    tells it the loss of its evaluations.

    Args:
        peak_lr: LR after the warm-up.
        warmup_steps: length of the warm-up.
        min_lr, max_lr: the LR stays between them.
        factor: what the LR is multiplied by to reduce it, and divided by to raise it.
        patience: evaluations in a row, with a better loss or without, that are let pass before the LR moves.
        smoothing: evaluations whose mean loss is judged.
        cooldown: evaluations after a reduction that do not count.
        rise_cooldown: evaluations after a rise that do not count (`warmup` in transformers).
        reset_after: reductions asked for at `min_lr`, without a rise between, after which everything begins again at
            `peak_lr`.
    """

    decays: ClassVar[bool] = False

    def __init__(
        self,
        *,
        peak_lr: PositiveFloat,
        warmup_steps: NonNegativeInt,
        min_lr: PositiveFloat,
        max_lr: PositiveFloat,
        factor: ProperFraction,
        patience: NonNegativeInt,
        smoothing: PositiveInt,
        cooldown: NonNegativeInt,
        rise_cooldown: NonNegativeInt,
        reset_after: PositiveInt,
    ) -> None:
        self.peak_lr = peak_lr
        self.warmup_steps = warmup_steps
        self.min_lr = min_lr
        self.max_lr = max_lr
        self.factor = factor
        self.patience = patience
        self.smoothing = smoothing
        self.cooldown = cooldown
        self.rise_cooldown = rise_cooldown
        self.reset_after = reset_after
        self._course = _Course(peak_lr)

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based), as far as the losses so far decide it."""
        if step < self.warmup_steps:
            return linear_warmup(step, self.warmup_steps, self.peak_lr)
        return self._course.lr

    def observe(self, step: int, loss: float) -> None:
        """Take in the loss of the slice that chooses LRs after `step` kept steps."""
        if step < self.warmup_steps:
            return
        now = self._course
        now.window = [*now.window, loss if math.isfinite(loss) else math.inf][-self.smoothing :]
        if now.ignored:
            now.ignored -= 1
            now.good = now.bad = 0
            return
        self._judge(fmean(now.window))
        if now.good > self.patience:
            self._rise()
        elif now.bad > self.patience:
            self._reduce()

    def _judge(self, loss: float) -> None:
        now = self._course
        if loss < now.best - THRESHOLD:
            now.best, now.good, now.bad = loss, now.good + 1, 0
        else:
            now.good, now.bad = 0, now.bad + 1

    def _rise(self) -> None:
        now = self._course
        now.lr = min(now.lr / self.factor, self.max_lr)
        now.good, now.at_floor, now.ignored = 0, 0, self.rise_cooldown

    def _reduce(self) -> None:
        now = self._course
        now.lr = max(now.lr * self.factor, self.min_lr)
        now.at_floor += now.lr <= self.min_lr
        if now.at_floor >= self.reset_after:
            now = self._course = _Course(self.peak_lr)
        now.bad, now.ignored = 0, self.cooldown

    def problems(self, at: str) -> list[str]:
        """Return every problem with the settings."""
        found = floor_problems("min_lr", self.min_lr, self.peak_lr, at)
        if self.max_lr < self.peak_lr:
            found.append(
                f"`peak_lr <= max_lr` must hold, but got {at}.peak_lr={self.peak_lr}, {at}.max_lr={self.max_lr}. "
                f"Set {at}.max_lr."
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers, as JSON; an infinite loss is null."""
        state = asdict(self._course)
        return {
            **state,
            "window": [loss if math.isfinite(loss) else None for loss in state["window"]],
            "best": state["best"] if math.isfinite(state["best"]) else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._course = _Course(
            **{
                **state,
                "window": [math.inf if loss is None else loss for loss in state["window"]],
                "best": math.inf if state["best"] is None else state["best"],
            }
        )
