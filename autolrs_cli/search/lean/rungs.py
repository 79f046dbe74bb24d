"""The level: short trials from the initial weights, around where the ramp was low.

What so short a run likes best is not what the whole run does: the best LR falls with the length of a run, as its
steps to the power of `-search.drift` or so (docs/search-notes.md has the figures).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from autolrs_cli.search.ask_tell import Curve, Verdict
from autolrs_cli.search.lean.bowl import Observation
from autolrs_cli.search.lean.comparison import Comparison, Moment, Score
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.seeding import derive_seed

REACH, NEAR, STEP = 2.0, 1.5, 0.25
"""Octaves: from what was tried to the next rung at most and at least; between LRs that are weighed."""
LEARNT = 0.01
"""A rung has begun to learn when its loss has fallen by this share (ours)."""
FARTHEST = 3.0
"""Octaves from the best rung within which others are taken for what they say of it."""
FINE, BEYOND = 0.05, 1.0
"""Octaves: how finely the best LR of a rung is looked for, and how far below the lowest one that was tried."""
TRUST, AGREE = 0.5, 1.5
"""How much the ramp's guess counts beside the rungs where both agree, and octaves by which they may differ (ours)."""
LEAST_UNIT = 0.02
"""What a doubling is worth, at least, of what the doublings before it gained (ours)."""


def has_learnt(first: float, last: float) -> bool:
    """Tell whether a loss has fallen by more than a trifle."""
    return first - last > LEARNT * abs(first)


@dataclass(frozen=True)
class Level:
    """What the rungs say."""

    octaves: float
    """Of the LR that is in force up to the first check, above the guess."""
    best_of_rungs: float
    """What is best for as few steps as the rungs have: octaves above the guess."""
    sure: bool
    """Whether that lies among those that were tried, and something was learnt."""


class Rungs(Comparison):
    """Asks for trials from the initial weights until their best LR is known; octaves are counted from the guess.

    Args:
        settings: the search's constants.
        guess: the level that the ramp makes likely.
        ahead: v of the rungs' steps.
        scores: of the rungs so far.
        failed: LRs of rungs that diverged.
        seed: of the run.
    """

    reference = "the best one"
    farthest_behind = 2.0
    misfit = 0.5

    def __init__(
        self,
        settings: LeanSearch,
        *,
        guess: float,
        ahead: float,
        scores: Sequence[Score],
        failed: Sequence[float],
        seed: int,
    ) -> None:
        # Held against the best one, and only those near it: farther away, a bowl is no likeness.
        ranked = sorted(scores, key=lambda score: (score.stopped, score.last))
        near = [score for score in ranked if abs(score.octaves - ranked[0].octaves) <= FARTHEST]
        self._tried = [score.octaves for score in scores]
        super().__init__(settings, Moment(guess, 0.0, ahead, 0), before=(), scores=near, failed=failed)
        self._first = -settings.drift * ahead
        """Where the guess lies for so few steps."""
        self._random = random.Random(derive_seed(seed, "search", "rung", len(scores) + len(failed)))  # noqa: S311

    def ask(self) -> float | None:
        """Return how many octaves above the guess the next rung lies; None: enough is known."""
        if self._settings.choice == "random":
            return self._first + self._random.uniform(-REACH, REACH)
        if not self._scores:
            return self._first - REACH * len(self._failed)
        if not self._learnt:  # others would say as little; unless the loss rose
            rose = self._scores[0].last > self._scores[0].first
            return min([*self._tried, *self._failed]) - REACH if rose else None
        tried = [*self._tried, *self._failed]
        low, high = min(tried) - REACH, max(tried) + REACH
        if self._failed:
            high = min(self._failed) - NEAR
        count = max(0, round((high - low) / STEP)) + 1
        free = [
            at for at in (low + STEP * i for i in range(count)) if all(abs(at - x) >= NEAR for x in tried)
        ]
        return self._most_promising(free, self._as_seen)

    def report(self, lr: float, curve: Curve) -> Verdict:
        """Stop a rung above the best one that is far behind it at half its steps, if that has learnt something."""
        if self._scores and not has_learnt(self._scores[0].first, self._scores[0].half):
            return "go"
        return super().report(lr, curve)

    def level(self) -> Level:
        """Return what is best for so few steps, and the level, which is lower: the best LR falls with the steps."""
        drift = self._settings.drift * self._v
        if not self._scores:  # none survived
            lowest = min(self._failed, default=self._first)
            return Level(lowest - REACH + drift, lowest - REACH, sure=False)
        if not self._learnt:
            return Level(0.0, self._first, sure=False)
        low, high = min(self._tried), max(self._tried)  # nothing is chosen that was not survived
        grid = [high - FINE * i for i in range(round((high - low + BEYOND) / FINE) + 1)]
        mean, _ = self._as_seen(grid)
        best = grid[min(range(len(grid)), key=mean.__getitem__)]
        sure = low - BEYOND < best < max([high, *self._failed])
        # Two measurements: where they agree, their mean; where they do not, the rungs, which are rarely far off.
        trust = TRUST * math.exp(-(((best + drift) / AGREE) ** 2))
        return Level((1 - trust) * (best + drift), best, sure=sure)

    @property
    def _learnt(self) -> bool:
        return has_learnt(self._scores[0].first, self._scores[0].last)

    def _observations(self) -> list[Observation]:
        if not self._scores or not self._learnt:
            return []
        variance = (self._settings.noise * self._settings.stopped_noise) ** 2
        variance += (self.misfit * self.farthest_behind) ** 2
        diverged = [
            Observation(octaves, self._x0, self._v, self._number, self.farthest_behind, variance)
            for octaves in self._failed
            if octaves - self._scores[0].octaves <= FARTHEST
        ]
        return [*super()._observations(), *diverged]

    def _gained(self, score: Score) -> float:
        """Return what the best rung gained in its last doubling of steps: what a doubling is worth."""
        reference = self._scores[0]
        if score.stopped:  # at the limit of what is stopped, it counts as behind by one such doubling
            return self._settings.stop_behind * (reference.first - reference.half)
        return max(reference.half - reference.last, LEAST_UNIT * (reference.first - reference.half))

    def _shown(self) -> tuple[float, float]:
        octaves = [score.octaves for score in self._scores]
        return min(octaves) - 1.0, max(octaves) + 1.0
