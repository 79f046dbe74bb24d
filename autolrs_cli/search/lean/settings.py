"""Settings of `search=lean`. Default values, each with its reason, live in `configs/search/lean.yaml`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from autolrs_cli.contracts import LossKind, Segment, WeightsKind
from autolrs_cli.search.policy import RunOutline, SearchEffort, SearchPolicy, UnevenStage, search_steps
from autolrs_cli.settings import Section
from autolrs_cli.values import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    ProperFraction,
)

if TYPE_CHECKING:
    from autolrs_cli.search.lean.bowl import Belief

Probability = Annotated[float, Field(strict=True, gt=0, lt=0.5)]


JUDGED_BY: LossKind = "choose"
"""By which rungs and checks are judged; only the ramp is read from training losses."""
FEWEST_STEPS, FEWEST_RUNG_STEPS = 4, 10
"""Of a trial, and of one from the initial weights."""
LEVEL_UNTIL = 0.05
"""Share of the run in which the LR stays at the level (ours)."""


def scored_at(steps: int) -> tuple[int, int, int]:
    """Return the steps of a trial after which the slice that chooses LRs is measured: its first, half of them, all."""
    return 1, steps // 2, steps


@dataclass(frozen=True)
class PlannedCheck:
    """One moment at which the LR in force is held against others."""

    step: int
    """Kept steps before it."""
    trial_steps: int


class LeanSearch(Section):
    """A ramp and rungs for the level, then checks, judged by averaged weights, whose winner's steps are kept."""

    name: str
    lr_min: PositiveFloat
    lr_max: PositiveFloat
    warmup_steps: Literal[0]
    """Of the schedule: the height of a warm-up that is not searched would have to be known."""
    ramp_steps: Annotated[int, Field(strict=True, ge=20)]
    ramp_fraction: ProperFraction
    """The ramp has no more than this share of the run's steps, but 20."""
    level_divisor: PositiveFloat
    """The level is guessed to be the LR of the ramp's trough divided by this."""
    rungs: PositiveInt
    """Trials from the initial weights that find it, at most ..."""
    more_rungs: NonNegativeInt
    """... but for so many more where the best one is at an edge of what was tried, and they are not doubled."""
    rung_fraction: ProperFraction
    """Length of a rung, as a share of the run's steps."""
    rung_steps: Annotated[int, Field(strict=True, ge=FEWEST_RUNG_STEPS)]
    """It has no more than these ..."""
    rung_doublings: NonNegativeInt
    """... but that its length is doubled so many times, at most, while nothing is learnt."""
    warmup_fraction: Annotated[float, Field(strict=True, ge=0, le=LEVEL_UNTIL)]
    """Share of the run's steps in which the LR rises evenly to the level."""
    decay: NonNegativeFloat
    """Between checks the LR falls as the number of steps to the power of minus this; 0: it is constant."""
    checks: tuple[ProperFraction, ...]
    """When, in shares of the run's steps; ascending. None: the level and its drift only."""
    trial_fraction: ProperFraction
    """Length of a trial, as a share of the steps so far."""
    min_trial_fraction: ProperFraction
    """Length of a trial, as a share of the run's steps, at least."""
    num_trials: Annotated[int, Field(strict=True, ge=2)]
    """Trials of a check at most, the one of the LR in force included."""
    reach: PositiveFloat
    """Octaves that a trial may lie above or below the LR in force, and that one check may move it."""
    leap_ahead: PositiveFloat
    """If a higher LR is ahead by this part of what the LR in force gained, the LR may move up by twice the reach.

    With `num_trials` of 2 no LR beyond the reach is tried before: the other trial is the one that is ahead.
    """
    steepness: PositiveFloat
    steepness_std: NonNegativeFloat
    centre_std: PositiveFloat
    drift: NonNegativeFloat
    """Octaves that the best LR falls per doubling of the steps, before anything is measured."""
    drift_std: NonNegativeFloat
    horizon: PositiveFraction
    """Share of the run's steps whose best LR is the run's."""
    check_std: NonNegativeFloat
    noise: PositiveFloat
    """Standard deviation of a trial's score beside the slice's own noise, divided by what the LR in force gained."""
    stopped_noise: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)]
    """Of a trial that was stopped at half its steps: this many times as much."""
    stop_behind: PositiveFloat
    """A trial is stopped at half its steps if it is behind by this part of what the LR in force gained by then."""
    ask_above: Probability
    """Another LR is tried if it is better than the best one so far with at least this probability."""
    least_gain: NonNegativeFloat
    """... better by this part of what the LR in force gained."""
    move_std: NonNegativeFloat
    """The LR moves if the move's expected gain is more than this many of its standard deviations."""
    weights: WeightsKind
    choice: Literal["surrogate", "random"]
    """`random`: an ablation, at the cost of all trials."""
    keep_winner: bool
    """Whether training goes on from the end of the best trial."""
    max_loss_ratio: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)]
    tail_fraction: PositiveFraction
    max_rollbacks: NonNegativeInt

    def at_random(self) -> LeanSearch:
        """Return the same with a level and choices that are drawn."""
        return self.model_copy(update={"choice": "random"})

    def problems(self, run: RunOutline) -> list[str]:
        """Return every rule that the settings break for this run."""
        found = []
        if not self.lr_min < self.lr_max:
            found.append(
                f"`lr_min < lr_max` must hold, but got search.lr_min={self.lr_min}, search.lr_max={self.lr_max}. "
                "Set search.lr_min."
            )
        if list(self.checks) != sorted(set(self.checks)):
            found.append(f"`search.checks` must ascend, but got {list(self.checks)}. Set search.checks.")
        if self.weights == "averaged" and not run.averaged:
            found.append(
                "search=lean judges trials by averaged weights, since raw ones prefer LRs that are too low for the "
                "run, but got average=none. Set average=ema; or, to read raw weights or those of an optimizer that "
                "averages by itself, search=paper or a schedule that is not searched."
            )
        if run.warmup_steps:
            found.append(
                "search=lean warms up by itself, to a level that it finds, but got schedule.warmup_steps="
                f"{run.warmup_steps}. Remove schedule.warmup_steps."
            )
        total = sum(phase.steps for phase in run.phases)
        if total < 2 * self.ramp(total):
            found.append(
                f"A run under search=lean must have {2 * self.ramp(total)} steps or more, but got {total}. "
                "Raise run.max_steps."
            )
        elif self.rung(total) << self.rung_doublings > total:
            found.append(
                f"A rung must have no more steps than the run, {total}, but may be doubled up to "
                f"{self.rung(total) << self.rung_doublings}. Lower search.rung_fraction or search.rung_doublings."
            )
        return found or self._crowded(run)

    def _crowded(self, run: RunOutline) -> list[str]:
        total = sum(phase.steps for phase in run.phases)
        checks = self.planned(total)
        for this, after in pairwise([*checks, PlannedCheck(total, 0)]):
            if this.step + this.trial_steps >= after.step:
                return [
                    f"A check must end before the next begins, but the one at step {this.step} has trials of "
                    f"{this.trial_steps} steps and the next begins at {after.step}. Change search.checks."
                ]
        if checks and checks[0].step <= self.level_until(total):
            return [
                f"The first check must come after {LEVEL_UNTIL:.0%} of the run, up to which the LR stays at the level, "
                f"but got step {checks[0].step} of {total}. Change search.checks."
            ]
        return []

    def ramp(self, total: int) -> int:
        """Return the ramp's steps, in a run of `total` kept steps."""
        return min(self.ramp_steps, max(20, round(self.ramp_fraction * total)))

    def warmup(self, total: int) -> int:
        """Return the steps in which the LR rises."""
        return round(self.warmup_fraction * total)

    def level_until(self, total: int) -> int:
        """Return the step up to which the LR stays at the level."""
        return max(1, round(LEVEL_UNTIL * total))

    def rung(self, total: int) -> int:
        """Return the steps of a rung, in a run of `total` kept steps."""
        return max(FEWEST_RUNG_STEPS, min(self.rung_steps, round(self.rung_fraction * total)))

    def ahead(self, step: int, total: int) -> float:
        """Return v of `step` kept steps: log2 of their part of the horizon."""
        return math.log2(max(1, step) / max(1.0, self.horizon * total))

    def shortest(self, total: int) -> int:
        """Return the steps of the shortest trial."""
        return max(FEWEST_STEPS, round(self.min_trial_fraction * total))

    def planned(self, total: int) -> list[PlannedCheck]:
        """Return all checks of a run of `total` kept steps."""
        shortest = self.shortest(total)
        steps = [max(1, round(share * total)) for share in self.checks]
        return [PlannedCheck(step, max(shortest, round(self.trial_fraction * step))) for step in steps]

    def stages(self, run: RunOutline) -> Sequence[Segment]:
        """Return all stages: the level's, then one from each check to the next; cut where a phase ends."""
        firsts = [0, *accumulate(phase.steps for phase in run.phases)]
        total = firsts.pop()
        checks = {check.step: check for check in self.planned(total)}
        shortest = self.shortest(total)
        stages: list[Segment] = []
        for number, (first, end) in enumerate(pairwise([*sorted({*firsts, *checks}), total])):
            phase = bisect_right(firsts, first) - 1
            check = checks.get(first)
            if number == 0:
                steps, trials = self.ramp(total), 1 + self.rungs + max(self.rung_doublings, self.more_rungs)
            elif check is not None and first + check.trial_steps < end:
                steps, trials = check.trial_steps, self.num_trials
            else:  # a phase begins, or ends too soon
                steps, trials = shortest, 0
            stage = Segment("stage", phase, first, end - first, number, steps, JUDGED_BY, trials)
            stages.append(
                stage if number else UnevenStage(**vars(stage), all_trials=self._longest_level(total))
            )
        return stages

    def most(self, run: RunOutline) -> SearchEffort:
        """Return what ramp, rungs and checks do; of each check, one trial's steps are kept."""
        stages = self.stages(run)
        total = sum(phase.steps for phase in run.phases)
        ramp, judged = self.ramp(total), sum(stage.num_trials for stage in stages) - 1
        at_the_level = max(0, self.level_until(total) - self.warmup(total))
        return SearchEffort(
            sum(map(search_steps, stages)),
            ramp,
            judged * len(scored_at(self.rung(total))),
            total - at_the_level,
        )

    def _longest_level(self, total: int) -> int:
        """Return the steps of ramp and rungs at most: nothing may be learnt until rungs have their longest length."""
        rung = self.rung(total)
        silent = sum(rung << doublings for doublings in range(self.rung_doublings))
        doubled = silent + self.rungs * (rung << self.rung_doublings)
        return self.ramp(total) + max(doubled, (self.rungs + self.more_rungs) * rung)

    def policy(self, run: RunOutline) -> SearchPolicy:
        """Return a policy at the beginning of the run."""
        from autolrs_cli.search.lean.policy import LeanPolicy

        return LeanPolicy(self, run)

    @property
    def belief(self) -> Belief:
        """What is believed before any trial."""
        from autolrs_cli.search.lean.bowl import Belief

        return Belief(
            (self.steepness, self.steepness_std),
            self.centre_std,
            (self.drift, self.drift_std),
            self.check_std,
        )
