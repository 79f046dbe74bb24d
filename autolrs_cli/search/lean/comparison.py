"""Trials of one moment, each held against the first of them, and what the belief of the run makes of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev
from typing import Any

from autolrs_cli.search.ask_tell import Curve, Stop, Stopped, Verdict
from autolrs_cli.search.lean.bowl import Bowl, Observation
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.search.policy import Surrogate

SURE = 3.0
"""A difference of this many standard errors is more than the slice's noise."""
FARTHEST_AHEAD = 10.0
"""A score further ahead counts as this far."""

Expectation = Callable[[Sequence[float]], tuple[list[float], list[float]]]
"""Octaves -> mean and standard deviation of y there."""


@dataclass(frozen=True)
class Score:
    """What the held-out slice said of a trial."""

    octaves: float
    """Of its LR, above the comparison's."""
    first: float
    """Loss after its first step; then at half its steps, and at its last."""
    half: float
    last: float
    parts: tuple[float, ...]
    """Of `last`, by batch of the slice."""
    stopped: bool

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Score:
        """Return the score that `asdict` made `state` of."""
        return cls(**{**state, "parts": tuple(state["parts"])})


@dataclass(frozen=True)
class Moment:
    """When trials are compared, and around which LR."""

    lr: float
    """From which the octaves of scores are counted."""
    above_guess: float
    """Octaves from the guess of the level to `lr`."""
    ahead: float
    """v, steps so far as log2 of their part of the horizon."""
    number: int
    """Of the comparison in the run; the level's is 0."""


class Comparison(ABC):
    """What several trials from one state say, each held against the first in the list.

    Args:
        settings: the search's constants.
        moment: when, and around which LR.
        before: what earlier ones saw.
        scores: of its trials so far.
        failed: LRs of trials that diverged.
    """

    reference = "the first one"
    """What the others are held against, in words."""
    misfit = 0.0
    """How far a score may be off the bowl, by its distance: real losses rise faster above the best LR than below."""
    farthest_behind = 1.0
    """A score further behind counts as this far: beyond, a bowl is no likeness of how losses rise."""

    def __init__(
        self,
        settings: LeanSearch,
        moment: Moment,
        *,
        before: Sequence[Observation],
        scores: Sequence[Score],
        failed: Sequence[float],
    ) -> None:
        self._settings = settings
        self._lr, self._above_guess = moment.lr, moment.above_guess
        self._v, self._number = moment.ahead, moment.number
        self._scores = list(scores)
        self._failed = [round(math.log2(each / moment.lr), 9) for each in failed]
        self._x0 = moment.above_guess + (self._scores[0].octaves if self._scores else 0.0)
        """Of the trial that the others are held against, in octaves above the guess."""
        self.seen = [*before, *self._observations()]

    @abstractmethod
    def _gained(self, score: Score) -> float:
        """Return what the first trial gained by the time that `score` is of: the unit of its distance."""

    def score(self, lr: float, result: Curve | Stopped) -> Score:
        """Return the score of a trial at `lr`."""
        curve = result.curve if isinstance(result, Stopped) else result
        octaves = round(math.log2(lr / self._lr), 9)
        half = curve.values[min(1, len(curve.values) - 1)]
        parts = tuple(curve.parts[-1]) if curve.parts else ()
        return Score(octaves, curve.values[0], half, curve.values[-1], parts, isinstance(result, Stopped))

    def noise(self, score: Score) -> float:
        """Return the standard error of a score's distance to that of the first trial, paired by batch."""
        pairs = zip(score.parts, self._scores[0].parts if self._scores else (), strict=False)
        differences = [a - b for a, b in pairs]
        return stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what is expected of the losses at the end of a trial, within reach of those that were made."""
        if not self._scores:
            return None
        loss, unit = self._scores[0].last, self._unit(self._scores[0])
        low, high = self._shown()
        octaves = [low + (high - low) * i / (num_points - 1) for i in range(num_points)]
        mean, std = self._as_seen(octaves)
        return Surrogate(
            tuple(self._lr * 2**each for each in octaves),
            tuple(loss + unit * m for m in mean),
            tuple(unit * s for s in std),
        )

    def report(self, lr: float, curve: Curve) -> Verdict:
        """Stop a trial above the first one that is far behind it at half its steps.

        A trial below it is not stopped: judged too early, averaged weights prefer LRs that are too high.
        """
        if len(curve.values) != 2 or not self._scores or lr <= self._lr * 2 ** self._scores[0].octaves:
            return "go"
        reference = self._scores[0]
        gained, behind = reference.first - reference.half, curve.values[1] - reference.half
        if behind <= self._settings.stop_behind * max(gained, 0.0):
            return "go"
        share = f"{behind / gained:.0%}" if gained > 0 else "more than all"
        return Stop(f"behind by {share} of what {self.reference} gained in half its steps")

    def _most_promising(self, free: Sequence[float], expected: Expectation) -> float | None:
        """Return the LR that may be the best, if it is better than those tried with some probability; else None."""
        if not free:
            return None
        mean, std = expected(free)
        # Of two LRs that may be equally good, the higher: too low an LR costs more, and too high a one is seen sooner.
        at = min(range(len(free)), key=lambda i: (round(mean[i] - std[i], 9), -free[i]))
        best = min(expected([score.octaves for score in self._scores])[0]) - self._settings.least_gain
        chance = NormalDist(mean[at], max(std[at], 1e-9)).cdf(best)
        return free[at] if chance >= self._settings.ask_above else None

    @abstractmethod
    def _shown(self) -> tuple[float, float]:
        """Return the octaves between which its expectation is drawn."""

    def _bowl(self) -> Bowl:
        return Bowl(self._settings.belief, self.seen, self._number + 1)

    def _as_seen(self, octaves: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of y at the ends of trials like these."""
        xs = [self._above_guess + each for each in octaves]
        return self._bowl().at(xs, self._x0, self._v, self._number)

    def _in_the_long_run(self, octaves: Sequence[float]) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of y over the run's horizon."""
        return self._bowl().at([self._above_guess + each for each in octaves], self._x0, 0.0, None)

    def _observations(self) -> list[Observation]:
        return [self._observation(self._scores[0], score) for score in self._scores[1:]]

    def _observation(self, reference: Score, score: Score) -> Observation:
        unit, noise = self._unit(score), self.noise(score)
        own = self._settings.noise * (self._settings.stopped_noise if score.stopped else 1.0)
        behind = score.last - (reference.half if score.stopped else reference.last)
        ahead = (
            0.0 if score.stopped else FARTHEST_AHEAD
        )  # what was stopped was behind, of whatever it is held against
        y = max(-ahead, min(behind / unit, self.farthest_behind))
        variance = own**2 + (noise / unit) ** 2 + (self.misfit * y) ** 2
        x = self._above_guess + score.octaves
        return Observation(x, self._x0, self._v, self._number, y, variance)

    def _unit(self, score: Score) -> float:
        """Return what the first trial gained; where that is less than noise, the noise."""
        reference = self._scores[0]
        return max(self._gained(score), SURE * self.noise(score), 1e-9 * abs(reference.last), 1e-300)
