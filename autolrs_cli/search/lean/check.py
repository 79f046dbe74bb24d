"""One check: trials of other LRs, held against the LR in force, and what follows from them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from autolrs_cli.search.lean.bowl import Observation
from autolrs_cli.search.lean.comparison import SURE, Comparison, Moment, Score
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.search.policy import Surrogate
from autolrs_cli.seeding import derive_seed

GRID = 41
"""LRs within reach that are weighed."""
NEAR = 0.75
"""Octaves around a tried LR in which another trial would tell little."""


@dataclass(frozen=True)
class Move:
    """Where a check leads."""

    octaves: float
    reason: str


class Check(Comparison):
    """Asks for trials while another LR may be better, and says which is; octaves are counted from the LR in force.

    Args:
        settings: the search's constants.
        moment: of the check; its LR is the one in force.
        before: what earlier ones saw.
        scores: of its trials so far.
        failed: LRs of trials that diverged.
        ruled_out: LRs at which kept steps diverged.
        seed: of the run.
    """

    reference = "the LR in force"

    def __init__(
        self,
        settings: LeanSearch,
        moment: Moment,
        *,
        before: Sequence[Observation],
        scores: Sequence[Score],
        failed: Sequence[float],
        ruled_out: Sequence[float],
        seed: int,
    ) -> None:
        super().__init__(settings, moment, before=before, scores=scores, failed=failed)
        too_high = min([*failed, *ruled_out], default=math.inf)
        self._highest = math.log2(too_high / moment.lr) - settings.reach
        """Octaves above the LR in force that may be tried or chosen: so far below all that diverged."""
        self._random = random.Random(derive_seed(seed, "search", moment.number, len(scores), len(failed)))  # noqa: S311

    def ask(self) -> float | None:
        """Return how many octaves above the LR in force the next trial lies; None: enough is known."""
        reach = self._settings.reach
        if not self._scores:  # every trial so far diverged
            return -reach * len(self._failed)
        if self._scores[0].octaves:  # the LR in force diverged: the first one below that did not is taken
            return None
        if self._settings.choice == "random":
            tried = [*(score.octaves for score in self._scores), *self._failed]
            untried = {-reach, reach}.difference(tried)
            allowed = sorted(octaves for octaves in untried if octaves <= self._highest)
            return self._random.choice(allowed) if allowed else None
        free = [
            octaves
            for octaves in self._within_reach()
            if all(abs(octaves - score.octaves) >= NEAR for score in self._scores)
        ]
        return self._most_promising(free, self._in_the_long_run)

    def move(self) -> Move:
        """Return where the LR in force goes: nowhere, unless another is better by more than the doubt."""
        tried = [
            f"{2**score.octaves:.2g}x" + " (stopped)" * score.stopped
            for score in self._scores
            if score.octaves
        ]
        tried += [f"{2**octaves:.2g}x (diverged)" for octaves in self._failed]
        what = " and ".join(tried) + " tried" if tried else "nothing promises more"
        if not self._scores:
            down = min(self._failed) - self._settings.reach if self._failed else 0.0
            return Move(down, f"{what}: every trial diverged" if tried else "nothing is tried; staying")
        if self._settings.choice == "random":
            return Move(self._random.choice(self._scores).octaves, f"{what}, chosen at random")
        if self._scores[0].octaves:  # the LR in force diverged
            return Move(self._scores[0].octaves, f"{what}: the highest that did not diverge")
        if self._is_hidden():
            return Move(
                0.0, f"{what}: what the LR in force gained is hidden in the held-out slice's noise; staying"
            )
        within = [octaves for octaves in self._within_reach() if octaves == 0 or self._is_backed(octaves)]
        mean, _ = self._in_the_long_run(within)
        at = min(range(len(within)), key=mean.__getitem__)
        octaves, gain = within[at], -mean[at]
        # Doubted is what this check can see; how the best LR drifts from here on is in the mean alone.
        (_, (doubt,)) = self._as_seen([octaves])
        if gain <= self._settings.move_std * doubt:
            none = "neither" if len(tried) > 1 else "not"
            return Move(
                0.0, f"{what}, {none} better by more than noise; staying" if tried else f"{what}; staying"
            )
        return Move(octaves, f"{what}; {2**octaves:.2g}x is expected to gain {gain:.0%} ± {doubt:.0%} more")

    def _is_hidden(self) -> bool:
        """Return whether what the LR in force gained in its trial is no more than the slice's noise."""
        reference = self._scores[0]
        noise = max(self.noise(score) for score in self._scores)
        return reference.octaves == 0 and reference.first - reference.last < SURE * noise

    def _is_backed(self, octaves: float) -> bool:
        """Return whether a trial on that side was better, and none that went as far, or up to twice as far, was not.

        Whatever is believed: where nothing was tried, the bowl's word alone has led astray.
        """
        side = [each for each in self._scores[1:] if each.octaves * octaves > 0]
        worse = [each.octaves for each in side if each.stopped or each.last >= self._scores[0].last]
        return len(worse) < len(side) and all(abs(octaves) <= abs(each) / 2 for each in worse)

    def _within_reach(self) -> list[float]:
        reach = self._settings.reach
        octaves = [reach * (2 * i / (GRID - 1) - 1) for i in range(GRID)]
        if self._is_far_too_low():
            octaves += [each + reach for each in octaves if each > 0]
        return [each for each in octaves if each <= self._highest or each == 0]

    def _is_far_too_low(self) -> bool:
        """Return whether the highest LR within reach is so far ahead that the best one must lie beyond."""
        top = [each for each in self._scores[1:] if each.octaves >= self._settings.reach - NEAR]
        return any(self._observation(self._scores[0], each).y <= -self._settings.leap_ahead for each in top)

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what is expected of the losses at the end of a trial; None: the LR in force diverged."""
        return None if not self._scores or self._scores[0].octaves else super().surrogate(num_points)

    def _shown(self) -> tuple[float, float]:
        return -self._settings.reach, self._settings.reach

    def _observations(self) -> list[Observation]:
        return [] if not self._scores or self._scores[0].octaves else super()._observations()

    def _gained(self, score: Score) -> float:
        """Return what the LR in force gained in its trial."""
        reference = self._scores[0]
        return reference.first - (reference.half if score.stopped else reference.last)
