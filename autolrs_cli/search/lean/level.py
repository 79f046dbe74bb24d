"""The search for the level, before the first kept step: a ramp says where to look, rungs say how good it is."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

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
from autolrs_cli.search.lean.comparison import Score
from autolrs_cli.search.lean.ramp import is_over, read
from autolrs_cli.search.lean.rungs import Rungs, has_learnt
from autolrs_cli.search.lean.settings import LeanSearch, scored_at
from autolrs_cli.seeding import derive_seed

RUNG_WARMUP = 4
"""A rung's LR rises in its first steps: one in so many (ours)."""
BELOW_RISE = 4.0
"""Where no LR of the ramp lowers the loss, the level is guessed this many times below its last one (ours)."""


class LevelSearch:
    """Asks for the ramp and the rungs, and chooses the level.

    Args:
        settings: the search's constants.
        total: kept steps of the run.
        seed: of the run.
    """

    def __init__(self, settings: LeanSearch, total: int, seed: int) -> None:
        self._settings, self._total, self._seed = settings, total, seed
        self.records: list[TrialRecord] = []
        """The finished trials, in order."""
        self.guess: float | None = None
        """Of the level, read from the ramp: from here on octaves are counted from it."""
        self._account = ""
        """How it was read, in words."""
        self._scores: list[Score] = []
        self._doublings = 0
        """Of the rungs' steps, after rungs that had learnt nothing yet."""
        self._reported: tuple[Sequence[int], Sequence[float]] = (), ()
        """Steps and losses of the ramp under way."""

    @property
    def rungs(self) -> Rungs:
        """What the rungs so far say; only once the ramp was read."""
        assert self.guess is not None, "rungs are asked about before the ramp was read"
        ahead = self._settings.ahead(self._rung_steps, self._total)
        return Rungs(
            self._settings,
            guess=self.guess,
            ahead=ahead,
            scores=self._scores,
            failed=self._diverged,
            seed=self._seed,
        )

    @property
    def has_scores(self) -> bool:
        """Whether a rung said something."""
        return bool(self._scores)

    def ask(self) -> Trial | None:
        """Return the ramp, then rung after rung; None: enough is known."""
        number, settings = len(self.records), self._settings
        if self.guess is None:
            return Trial(0, settings.lr_min, settings.ramp(self._total), end_lr=settings.lr_max)
        octaves = self.rungs.ask() if self._may_go_on else None
        if octaves is None:
            return None
        steps, lr = self._rung_steps, self.guess * 2**octaves
        at, warmup = scored_at(steps), steps // RUNG_WARMUP
        return Trial(number, lr, steps, "choose", settings.weights, at, warmup_steps=warmup)

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """End the ramp when it says no more, and a rung when it is far behind."""
        if trial.end_lr is None:
            return self.rungs.report(trial.lr, curve)
        self._reported = curve.steps, curve.values
        return Stop("read: the loss has risen again") if is_over(curve.values, trial.steps) else "go"

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Take in what came of a trial."""
        if trial.end_lr is not None:
            self._read_ramp(trial, result)
            return
        if isinstance(result, Failure):
            self.records.append(TrialRecord(trial, failure=result))
            return
        rungs = self.rungs
        score = rungs.score(trial.lr, result)
        forecast: Forecast | None = Forecast(score.last, rungs.noise(score) or None, measured=True)
        if self._is_silent(score):
            self._doublings += 1
            forecast = Forecast(score.last, None, ("too_short",), measured=True)
        else:
            self._scores.append(score)
        stopped = result.reason if isinstance(result, Stopped) else None
        self.records.append(TrialRecord(trial, None if stopped else forecast, stopped=stopped))

    def choose(self, ruled_out: Sequence[float]) -> Choice:
        """Choose the level.

        Args:
            ruled_out: LRs at which kept steps diverged.
        """
        assert self.guess is not None
        level, flags = self.rungs.level(), tuple[str, ...]()
        best, lr = self.guess * 2**level.best_of_rungs, self.guess * 2**level.octaves
        if self._settings.choice == "random":
            draw = random.Random(derive_seed(self._seed, "search", "level"))  # noqa: S311 - no secret
            lr, how = self.guess * 2 ** draw.uniform(-2.5, 2.5), "drawn at random"
        elif not self._scores:
            how, flags = "every trial diverged", ("all_failed",)
        else:
            how = (
                f"of {self._tried}, tried for {self._rung_steps} steps, {best:.2g} is read as best for so few"
            )
            flags = () if level.sure else ("level_unsure",)
        below = min([*self._diverged, *ruled_out], default=math.inf) / 2
        lr = max(self._settings.lr_min, min(lr, below))
        return Choice(lr, None, flags=flags, account=f"{self._account}; {how}: the level is {lr:.2g}")

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on."""
        return {
            "records": [record.state_dict() for record in self.records],
            "guess": self.guess,
            "account": self._account,
            "scores": [asdict(score) for score in self._scores],
            "doublings": self._doublings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.records = [TrialRecord.from_state(each) for each in state["records"]]
        self.guess, self._account, self._doublings = state["guess"], state["account"], state["doublings"]
        self._scores = [Score.from_state(each) for each in state["scores"]]

    def _read_ramp(self, ramp: Trial, result: TrialResult) -> None:
        settings = self._settings
        curve = result.curve if isinstance(result, Stopped) else result
        # A failure has no curve of its own: what was reported of it is all there is.
        steps, losses = self._reported if isinstance(curve, Failure) else (curve.steps, curve.values)
        reading = read([ramp.lr_at(step) for step in steps], losses, ramp.steps)
        self.records.append(TrialRecord(ramp, stopped="read"))
        # A shorter ramp rises faster, and its trough lies higher: by about the square root, where tried.
        trough = reading.trough_lr * math.sqrt(ramp.steps / settings.ramp_steps)
        if reading.gained:
            self.guess = trough / settings.level_divisor
            self._account = f"the ramp's loss is low around LR {reading.trough_lr:.2g}"
        else:
            self.guess = reading.last_lr / BELOW_RISE
            self._account = f"no LR of the ramp lowered the loss, up to {reading.last_lr:.2g}"

    @property
    def _rung_steps(self) -> int:
        return self._settings.rung(self._total) << self._doublings

    @property
    def _may_go_on(self) -> bool:
        """Whether another rung may be made: there are more where the best one is at an edge of what was tried."""
        made = len(self.records) - 1 - self._doublings
        settings = self._settings
        if made < settings.rungs:
            return True
        # Doubled rungs are dear, and a choice at random asks for no more knowledge.
        most = settings.rungs + (0 if self._doublings or settings.choice == "random" else settings.more_rungs)
        return made < most and not self.rungs.level().sure

    @property
    def _diverged(self) -> list[float]:
        return [record.trial.lr for record in self.records if record.failure and record.trial.end_lr is None]

    @property
    def _tried(self) -> str:
        """The rungs that say something, in words."""
        assert self.guess is not None
        words = [f"{self.guess * 2**s.octaves:.2g}{' (stopped)' * s.stopped}" for s in self._scores]
        return ", ".join([*words, *(f"{lr:.2g} (diverged)" for lr in self._diverged)])

    def _is_silent(self, score: Score) -> bool:
        """Return whether the first rung has hardly moved the loss, so that no rung of its length says anything."""
        first = not self._scores and self._doublings < self._settings.rung_doublings
        return first and not has_learnt(score.first, score.last) and not has_learnt(score.last, score.first)
