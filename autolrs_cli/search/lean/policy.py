"""`search=lean` as a policy: a ramp and rungs find the level, checks correct it; each knows what was learnt before."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from autolrs_cli.contracts import Segment
from autolrs_cli.search.ask_tell import (
    Choice,
    Curve,
    Failure,
    Forecast,
    Stop,
    Stopped,
    Trial,
    TrialRecord,
    TrialResult,
    Verdict,
)
from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.lean.bowl import Observation
from autolrs_cli.search.lean.check import Check
from autolrs_cli.search.lean.comparison import Comparison, Score
from autolrs_cli.search.lean.ramp import is_over, read
from autolrs_cli.search.lean.rungs import Rungs, has_learnt
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.search.policy import RunOutline, Surrogate
from autolrs_cli.seeding import derive_seed

RUNG_WARMUP = 4
"""A rung's LR rises in its first steps: one in so many (ours)."""
BELOW_RISE = 4.0
"""Where no LR of the ramp lowers the loss, the level is guessed this many times below its last one (ours)."""


class LeanPolicy:
    """One object for the whole run.

    Args:
        settings: the search's constants.
        run: its outline.
    """

    def __init__(self, settings: LeanSearch, run: RunOutline) -> None:
        self.failure_rule = FailureRule(settings.max_loss_ratio, settings.tail_fraction)
        self.keeps_winner = settings.keep_winner
        self.max_rollbacks = settings.max_rollbacks
        self._settings = settings
        self._seed = run.seed
        self._total = sum(phase.steps for phase in run.phases)
        self._stages = list(settings.stages(run))
        self._stage: Segment | None = None
        self._guess: float | None = None
        """Of the level, read from the ramp; the origin of the octaves in `_seen`, so that it stays."""
        self._account, self._flags = "", tuple[str, ...]()
        """How it was read, in words; why to doubt it."""
        self._lr: float | None = None
        """In force; as chosen for the open stage, once it is."""
        self._held_against: float | None = None
        """In force at the open stage's start."""
        self._seen: list[Observation] = []
        """Of earlier checks."""
        self._ruled_out: list[float] = []
        self._begin()

    def _begin(self) -> None:
        self._records: list[TrialRecord] = []
        self._scores: list[Score] = []
        self._choice: Choice | None = None
        self._pending: Trial | None = None
        self._doublings = 0
        """Of the rungs' steps, after rungs that had learnt nothing yet."""
        self._reported: tuple[Sequence[int], Sequence[float]] = (), ()
        """Steps and losses of the ramp under way."""

    @property
    def interval(self) -> tuple[float, float]:
        """The ramp's ends; at a check, what is within reach."""
        if self._lr is None:
            return self._settings.lr_min, self._settings.lr_max
        reach = 2**self._settings.reach
        return self._lr / reach, self._lr * reach

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """The finished trials of the open stage."""
        return tuple(self._records)

    @property
    def choice(self) -> Choice | None:
        """The choice for the open stage."""
        return self._choice

    def next_stage(self, step: int) -> Segment | None:
        """Return the stage that kept step `step` belongs to: the level's, or that of a check."""
        stage = next((each for each in self._stages if each.first_step <= step < each.end), None)
        if stage is not None and stage != self._stage:
            if self._scores:
                self._seen = self._comparison().seen
            if self._lr is not None:
                self._lr = self.lr(stage.first_step)
            self._stage, self._ruled_out, self._held_against = stage, [], self._lr
            self._begin()
        return stage

    def ask(self) -> Trial | None:
        """Return the ramp, then the rungs; at a check the LR in force, and then what may be better."""
        stage = self._open
        if self._pending is None and len(self._records) < stage.num_trials:
            self._pending = self._level_trial() if stage.stage == 0 else self._check_trial()
        return self._pending

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """End the ramp when it says no more, and another trial when it is far behind."""
        if trial.end_lr is None:
            return self._comparison().report(trial.lr, curve)
        self._reported = curve.steps, curve.values
        return Stop("read: the loss has risen again") if is_over(curve.values, trial.steps) else "go"

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Take in what came of a trial; return whether it is the best so far."""
        self._pending = None
        if trial.end_lr is not None:
            self._read_ramp(trial, result)
            return False
        if isinstance(result, Failure):
            self._records.append(TrialRecord(trial, failure=result))
            return False
        comparison = self._comparison()
        score = comparison.score(trial.lr, result)
        if self._open.stage == 0 and self._is_silent(score):
            self._doublings += 1
            self._records.append(
                TrialRecord(trial, Forecast(score.last, None, ("too_short",), measured=True))
            )
            return False
        best = not score.stopped and all(score.last < each.last for each in self._scores if not each.stopped)
        self._scores.append(score)
        if isinstance(result, Stopped):
            self._records.append(TrialRecord(trial, stopped=result.reason))
        else:
            self._records.append(
                TrialRecord(trial, Forecast(score.last, comparison.noise(score) or None, measured=True))
            )
        return best and self._open.stage != 0  # rungs warm up by themselves: none is gone on from

    def choose(self) -> Choice:
        """Choose the level; at a check, whether the LR in force stays, and whose steps are kept."""
        stage, again = self._open, ("searched_again",) if self._ruled_out else ()
        if stage.stage == 0:
            if self._lr is None:
                self._choose_level()
            self._choice = Choice(self._in_force, None, flags=(*again, *self._flags), account=self._account)
            return self._choice
        lr = self._in_force
        if not stage.num_trials:
            self._choice = Choice(lr, None, account="a new phase: nothing is tried")
            return self._choice
        move = self._check().move()
        self._lr = lr * 2**move.octaves
        done = [
            (score.last, record)
            for score, record in zip(self._scores, self._scored, strict=True)
            if not score.stopped
        ]
        best = min(done, key=lambda each: each[0], default=None)
        self._choice = Choice(
            self._lr,
            None if best is None else best[1].trial,
            keeps_end=self.keeps_winner and best is not None,
            predicted=None if best is None else best[0],
            flags=(*again, "all_failed") if best is None else again,
            account=f"check at step {stage.first_step:,}: {move.reason} at {self._lr:.2g}",
        )
        return self._choice

    def lr(self, step: int) -> float:
        """Return the LR in force: it rises to the level, and falls slowly from the first check or the latest one on."""
        settings, warmup = self._settings, self._settings.warmup(self._total)
        since = max(settings.level_until(self._total), self._open.first_step)
        fallen = (max(step, since) / since) ** -settings.decay
        return float(self._in_force * fallen * min(1.0, (step + 1) / max(1, warmup)))

    def rule_out(self, lr: float) -> bool:
        """Go on below `lr`; the stage is searched again: ramp and rungs, or the check."""
        self._ruled_out.append(lr)
        if self._lr is not None:
            self._lr = self._held_against = min(self._lr, lr / 2)
        self._begin()
        return lr > self._settings.lr_min

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what the open check expects."""
        return self._comparison().surrogate(num_points) if self._scores else None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on."""
        return {
            "stage": None if self._stage is None else self._stage.stage,
            "guess": self._guess,
            "lr": self._lr,
            "held_against": self._held_against,
            "seen": [asdict(each) for each in self._seen],
            "ruled_out": list(self._ruled_out),
            "records": [record.state_dict() for record in self._records],
            "scores": [asdict(score) for score in self._scores],
            "choice": None if self._choice is None else asdict(self._choice),
            "doublings": self._doublings,
            "account": self._account,
            "flags": list(self._flags),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._begin()
        self._stage = None if state["stage"] is None else self._stages[state["stage"]]
        self._guess, self._lr, self._held_against = state["guess"], state["lr"], state["held_against"]
        self._seen = [Observation(**each) for each in state["seen"]]
        self._ruled_out = list(state["ruled_out"])
        self._records = [TrialRecord.from_state(each) for each in state["records"]]
        self._scores = [Score(**{**each, "parts": tuple(each["parts"])}) for each in state["scores"]]
        self._choice = None if state["choice"] is None else Choice.from_state(state["choice"])
        self._doublings = state["doublings"]
        self._account, self._flags = state["account"], tuple(state["flags"])

    @property
    def _open(self) -> Segment:
        assert self._stage is not None, "a stage is asked about before it is open"
        return self._stage

    @property
    def _in_force(self) -> float:
        assert self._lr is not None, "an LR is asked for before the ramp was read"
        return self._lr

    @property
    def _scored(self) -> list[TrialRecord]:
        return [record for record in self._records if record.failure is None]

    def _level_trial(self) -> Trial | None:
        number, settings = len(self._records), self._settings
        if self._guess is None:
            return Trial(0, settings.lr_min, self._open.trial_steps, end_lr=settings.lr_max)
        octaves = self._rungs().ask() if number - 1 - self._doublings < settings.rungs else None
        if octaves is None:
            return None
        steps, lr = self._rung_steps, self._guess * 2**octaves
        scored_at = (1, steps // 2, steps)
        return Trial(
            number, lr, steps, "choose", settings.weights, scored_at, warmup_steps=steps // RUNG_WARMUP
        )

    def _read_ramp(self, ramp: Trial, result: TrialResult) -> None:
        settings = self._settings
        curve = result.curve if isinstance(result, Stopped) else result
        # A failure has no curve of its own: what was reported of it is all there is.
        steps, losses = self._reported if isinstance(curve, Failure) else (curve.steps, curve.values)
        reading = read([ramp.lr_at(step) for step in steps], losses, ramp.steps)
        self._records.append(TrialRecord(ramp, stopped="read"))
        # A shorter ramp rises faster, and its trough lies higher: by about the square root, where tried.
        trough = reading.trough_lr * math.sqrt(ramp.steps / settings.ramp_steps)
        if reading.gained:
            self._guess = trough / settings.level_divisor
            self._account = f"the ramp's loss is low around LR {reading.trough_lr:.2g}"
        else:
            self._guess = reading.last_lr / BELOW_RISE
            self._account = f"no LR of the ramp lowered the loss, up to {reading.last_lr:.2g}"

    def _choose_level(self) -> None:
        """Take in what the rungs said."""
        assert self._guess is not None
        level, steps = self._rungs().level(), self._rung_steps
        best = self._guess * 2**level.best_of_rungs
        if self._settings.choice == "random":
            draw = random.Random(derive_seed(self._seed, "search", "level"))  # noqa: S311 - no secret
            lr, how = self._guess * 2 ** draw.uniform(-2.5, 2.5), "drawn at random"
        elif not self._scores:
            lr, how = self._guess * 2**level.octaves, "every trial diverged"
            self._flags = ("all_failed",)
        else:
            lr = self._guess * 2**level.octaves
            how = f"of {self._tried}, tried for {steps} steps, {best:.2g} is read as best for so few"
            self._flags = () if level.sure else ("level_unsure",)
        below = min([*self._diverged, *self._ruled_out], default=math.inf) / 2
        self._lr = max(self._settings.lr_min, min(lr, below))
        self._account += f"; {how}: the level is {self._lr:.2g}"

    @property
    def _tried(self) -> str:
        """The rungs that say something, in words."""
        assert self._guess is not None
        words = [f"{self._guess * 2**s.octaves:.2g}{' (stopped)' * s.stopped}" for s in self._scores]
        return ", ".join([*words, *(f"{lr:.2g} (diverged)" for lr in self._diverged)])

    def _check_trial(self) -> Trial | None:
        octaves = self._check().ask() if self._records else 0.0
        if octaves is None:
            return None
        steps = self._open.trial_steps
        lr = self._in_force * 2**octaves
        return Trial(len(self._records), lr, steps, "choose", self._settings.weights, (1, steps // 2, steps))

    @property
    def _rung_steps(self) -> int:
        return self._settings.rung(self._total) << self._doublings

    def _is_silent(self, score: Score) -> bool:
        """Return whether the first rung has hardly moved the loss, so that no rung of its length says anything."""
        first = not self._scores and self._doublings < self._settings.rung_doublings
        return first and not has_learnt(score.first, score.last) and not has_learnt(score.last, score.first)

    def _comparison(self) -> Comparison:
        return self._rungs() if self._open.stage == 0 else self._check()

    @property
    def _diverged(self) -> list[float]:
        return [record.trial.lr for record in self._records if record.failure is not None]

    def _rungs(self) -> Rungs:
        assert self._guess is not None
        return Rungs(
            self._settings,
            guess=self._guess,
            ahead=self._settings.ahead(self._rung_steps, self._total),
            scores=self._scores,
            failed=self._diverged,
            seed=self._seed,
        )

    def _check(self) -> Check:
        stage, lr = self._open, self._held_against
        assert self._guess is not None
        assert lr is not None
        return Check(
            self._settings,
            lr=lr,
            above_guess=math.log2(lr / self._guess),
            ahead=self._settings.ahead(stage.first_step, self._total),
            number=stage.stage or 0,
            before=self._seen,
            scores=self._scores,
            failed=self._diverged,
            ruled_out=self._ruled_out,
            seed=self._seed,
        )
