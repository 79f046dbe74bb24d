"""One check: trials of other LRs, held against the LR in force, and what follows from them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from autolrs_cli.search.ask_tell import Curve, Stop, Stopped, Verdict
from autolrs_cli.search.lean.bowl import Bowl, Observation
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.search.policy import Surrogate
from autolrs_cli.seeding import derive_seed

GRID = 41
"""LRs within reach that are weighed."""
NEAR = 0.75
"""Octaves around a tried LR in which another trial would tell little."""
SURE = 3.0
"""A difference of this many standard errors is more than the slice's noise."""
FARTHEST_AHEAD, FARTHEST_BEHIND = 10.0, 1.0
"""A score further ahead or behind counts as this far: beyond, a bowl is no likeness of how losses rise."""


@dataclass(frozen=True)
class Score:
    """What the held-out slice said of a trial."""

    octaves: float
    """Of its LR, above the LR in force."""
    first: float
    """Loss after its first step; then at half its steps, and at its last."""
    half: float
    last: float
    parts: tuple[float, ...]
    """Of `last`, by batch of the slice."""
    stopped: bool


@dataclass(frozen=True)
class Move:
    """Where a check leads."""

    octaves: float
    reason: str


class Check:
    """Asks for trials while another LR may be better, and says which is.

    Args:
        settings: the search's constants.
        lr: in force.
        above_level: octaves from the ramp's level to `lr`.
        ahead: v, steps so far as log2 of their part of the horizon.
        number: of the check, from 0.
        before: what earlier checks saw.
        scores: of its trials so far.
        failed: LRs of trials that diverged.
        ruled_out: LRs at which kept steps diverged.
        seed: of the run.
    """

    def __init__(
        self,
        settings: LeanSearch,
        *,
        lr: float,
        above_level: float,
        ahead: float,
        number: int,
        before: Sequence[Observation],
        scores: Sequence[Score],
        failed: Sequence[float],
        ruled_out: Sequence[float],
        seed: int,
    ) -> None:
        self._settings = settings
        self._lr = lr
        self._x0, self._v, self._number = above_level, ahead, number
        self._scores = list(scores)
        self._failed = [math.log2(each / lr) for each in failed]
        too_high = min([*failed, *ruled_out], default=math.inf)
        self._highest = math.log2(too_high / lr) - settings.reach
        """Octaves above the LR in force that may be tried or chosen: so far below all that diverged."""
        self._random = random.Random(derive_seed(seed, "search", number, len(scores), len(failed)))  # noqa: S311
        self.seen = [*before, *self._observations()]

    def ask(self) -> float | None:
        """Return how many octaves above the LR in force the next trial lies; None: enough is known."""
        reach = self._settings.reach
        if not self._scores:  # every trial so far diverged
            return -reach * len(self._failed)
        if self._scores[0].octaves:  # the LR in force diverged: the first one below that did not is taken
            return None
        if self._settings.choice == "random":
            tried = [*(score.octaves for score in self._scores), *(round(each, 9) for each in self._failed)]
            untried = {-reach, reach}.difference(tried)
            allowed = sorted(octaves for octaves in untried if octaves <= self._highest)
            return self._random.choice(allowed) if allowed else None
        free = [
            octaves
            for octaves in self._within_reach()
            if all(abs(octaves - score.octaves) >= NEAR for score in self._scores)
        ]
        if not free:
            return None
        mean, std = self._expected(free)
        # Of two LRs that may be equally good, the higher: too low an LR costs more, and too high a one is seen sooner.
        at = min(range(len(free)), key=lambda i: (round(mean[i] - std[i], 9), -free[i]))
        best = min(self._expected([score.octaves for score in self._scores])[0]) - self._settings.least_gain
        chance = _normal_cdf((best - mean[at]) / max(std[at], 1e-9))
        return free[at] if chance >= self._settings.ask_above else None

    def report(self, lr: float, curve: Curve) -> Verdict:
        """Stop a trial above the LR in force that is far behind it at half its steps.

        A trial below it is not stopped: judged too early, averaged weights prefer LRs that are too high.
        """
        if len(curve.values) != 2 or not self._scores or lr <= self._lr:
            return "go"
        reference = self._scores[0]
        gained = reference.first - reference.half
        behind = curve.values[1] - reference.half
        if reference.octaves or behind <= self._settings.stop_behind * max(gained, 0.0):
            return "go"
        return Stop(f"behind by {_share(behind, gained)} of what the LR in force gained in half its steps")

    def score(self, lr: float, result: Curve | Stopped) -> Score:
        """Return the score of a trial at `lr`."""
        curve = result.curve if isinstance(result, Stopped) else result
        octaves = round(math.log2(lr / self._lr), 9)
        half = curve.values[min(1, len(curve.values) - 1)]
        parts = tuple(curve.parts[-1]) if curve.parts else ()
        return Score(octaves, curve.values[0], half, curve.values[-1], parts, isinstance(result, Stopped))

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
        if self._is_hidden():
            return Move(
                0.0, f"{what}: what the LR in force gained is hidden in the held-out slice's noise; staying"
            )
        within = self._within_reach()
        mean, _ = self._expected(within)
        at = min(range(len(within)), key=mean.__getitem__)
        octaves, gain = within[at], -mean[at]
        # Doubted is what this check can see; how the best LR drifts from here on is in the mean alone.
        (_, (doubt,)) = self._bowl().at([self._x0 + octaves], self._x0, self._v, self._number)
        if self._scores[0].octaves:  # the LR in force diverged
            return Move(self._scores[0].octaves, f"{what}: the highest that did not diverge")
        if gain <= self._settings.move_std * doubt:
            none = "neither" if len(tried) > 1 else "not"
            return Move(
                0.0, f"{what}, {none} better by more than noise; staying" if tried else f"{what}; staying"
            )
        return Move(octaves, f"{what}; {2**octaves:.2g}x is expected to gain {gain:.0%} ± {doubt:.0%} more")

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what is expected of the losses at the end of a trial, within reach."""
        if not self._scores or self._scores[0].octaves:
            return None
        loss, unit = self._scores[0].last, self._unit(self._scores[0])
        octaves = [self._settings.reach * (2 * i / (num_points - 1) - 1) for i in range(num_points)]
        mean, std = self._bowl().at([self._x0 + each for each in octaves], self._x0, self._v, self._number)
        return Surrogate(
            tuple(self._lr * 2**each for each in octaves),
            tuple(loss + unit * m for m in mean),
            tuple(unit * s for s in std),
            tuple(loss + unit * (m - s) for m, s in zip(mean, std, strict=True)),
        )

    def noise(self, score: Score) -> float:
        """Return the standard error of a score's distance to that of the LR in force, paired by batch."""
        pairs = zip(score.parts, self._scores[0].parts if self._scores else (), strict=False)
        differences = [a - b for a, b in pairs]
        count = len(differences)
        if count < 2:
            return 0.0
        mean = math.fsum(differences) / count
        return math.sqrt(math.fsum((each - mean) ** 2 for each in differences) / (count - 1) / count)

    def _is_hidden(self) -> bool:
        """Return whether what the LR in force gained in its trial is no more than the slice's noise."""
        reference = self._scores[0]
        noise = max(self.noise(score) for score in self._scores)
        return reference.octaves == 0 and reference.first - reference.last < SURE * noise

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

    def _expected(self, octaves: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of y over the run's horizon."""
        return self._bowl().at([self._x0 + each for each in octaves], self._x0, 0.0, None)

    def _bowl(self) -> Bowl:
        return Bowl(self._settings.belief, self.seen, self._number + 1)

    def _observations(self) -> list[Observation]:
        if not self._scores or self._scores[0].octaves:
            return []
        return [self._observation(self._scores[0], score) for score in self._scores[1:]]

    def _observation(self, reference: Score, score: Score) -> Observation:
        unit, noise = self._unit(score), self.noise(score)
        own = self._settings.noise * (self._settings.stopped_noise if score.stopped else 1.0)
        behind = score.last - (reference.half if score.stopped else reference.last)
        y = max(-FARTHEST_AHEAD, min(behind / unit, FARTHEST_BEHIND))
        variance = own**2 + (noise / unit) ** 2
        return Observation(self._x0 + score.octaves, self._x0, self._v, self._number, y, variance)

    def _unit(self, score: Score) -> float:
        """Return what the LR in force gained; where that is less than noise, the noise."""
        reference = self._scores[0]
        gained = reference.first - (reference.half if score.stopped else reference.last)
        return max(gained, SURE * self.noise(score), 1e-9 * abs(reference.last), 1e-300)


def _share(part: float, of: float) -> str:
    return f"{part / of:.0%}" if of > 0 else "more than all"


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
