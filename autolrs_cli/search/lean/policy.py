"""`search=lean` as a policy: a ramp and rungs find the level, checks correct it; each knows what was learnt before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from autolrs_cli.contracts import Segment
from autolrs_cli.search.ask_tell import (
    Choice,
    Curve,
    Failure,
    Forecast,
    Stopped,
    Trial,
    TrialRecord,
    TrialResult,
    Verdict,
)
from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.lean.bowl import Observation
from autolrs_cli.search.lean.check import Check
from autolrs_cli.search.lean.comparison import Moment, Score
from autolrs_cli.search.lean.level import LevelSearch
from autolrs_cli.search.lean.settings import LeanSearch, scored_at
from autolrs_cli.search.policy import RunOutline, Surrogate


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
        self._level = LevelSearch(settings, self._total, run.seed)
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
        return tuple(self._level.records if self._is_level else self._records)

    @property
    def choice(self) -> Choice | None:
        """The choice for the open stage."""
        return self._choice

    def next_stage(self, step: int) -> Segment | None:
        """Return the stage that kept step `step` belongs to: the level's, or that of a check."""
        stage = next((each for each in self._stages if each.first_step <= step < each.end), None)
        if stage is not None and stage != self._stage:
            if self._stage is not None:
                self._seen = self._observed()
            if self._lr is not None:
                self._lr = self.lr(stage.first_step)
            self._stage, self._ruled_out, self._held_against = stage, [], self._lr
            self._begin()
        return stage

    def ask(self) -> Trial | None:
        """Return the ramp, then the rungs; at a check the LR in force, and then what may be better."""
        if self._pending is None:
            self._pending = self._level.ask() if self._is_level else self._check_trial()
        return self._pending

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """End a trial that says no more, or is far behind."""
        return self._level.report(trial, curve) if self._is_level else self._check().report(trial.lr, curve)

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Take in what came of a trial; return whether it is the best so far, whose end may be gone on from."""
        self._pending = None
        if self._is_level:  # its trials have LRs of their own course: none is gone on from
            self._level.tell(trial, result)
            return False
        if isinstance(result, Failure):
            self._records.append(TrialRecord(trial, failure=result))
            return False
        check = self._check()
        score = check.score(trial.lr, result)
        best = not score.stopped and all(score.last < each.last for each in self._scores if not each.stopped)
        self._scores.append(score)
        if isinstance(result, Stopped):
            self._records.append(TrialRecord(trial, stopped=result.reason))
        else:
            self._records.append(
                TrialRecord(trial, Forecast(score.last, check.noise(score) or None, measured=True))
            )
        return best

    def choose(self) -> Choice:
        """Choose the level; at a check, whether the LR in force stays, and whose steps are kept."""
        stage, again = self._open, ("searched_again",) if self._ruled_out else ()
        if self._is_level:
            choice = self._level.choose(self._ruled_out)
            self._lr = choice.lr
            self._choice = replace(choice, flags=(*again, *choice.flags))
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
        """Return the LR in force: it rises to the level, stays, and then falls slowly, from the latest check on."""
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
        if self._is_level:
            return self._level.rungs.surrogate(num_points) if self._level.has_scores else None
        return self._check().surrogate(num_points) if self._scores else None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on."""
        return {
            "stage": None if self._stage is None else self._stage.stage,
            "level": self._level.state_dict(),
            "lr": self._lr,
            "held_against": self._held_against,
            "seen": [asdict(each) for each in self._seen],
            "ruled_out": list(self._ruled_out),
            "records": [record.state_dict() for record in self._records],
            "scores": [asdict(score) for score in self._scores],
            "choice": None if self._choice is None else asdict(self._choice),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._begin()
        self._stage = None if state["stage"] is None else self._stages[state["stage"]]
        self._level.load_state_dict(state["level"])
        self._lr, self._held_against = state["lr"], state["held_against"]
        self._seen = [Observation(**each) for each in state["seen"]]
        self._ruled_out = list(state["ruled_out"])
        self._records = [TrialRecord.from_state(each) for each in state["records"]]
        self._scores = [Score.from_state(each) for each in state["scores"]]
        self._choice = None if state["choice"] is None else Choice.from_state(state["choice"])

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

    def _check_trial(self) -> Trial | None:
        if len(self._records) >= self._open.num_trials:
            return None
        octaves = self._check().ask() if self._records else 0.0
        if octaves is None:
            return None
        steps = self._open.trial_steps
        lr = self._in_force * 2**octaves
        return Trial(len(self._records), lr, steps, "choose", self._settings.weights, scored_at(steps))

    @property
    def _is_level(self) -> bool:
        return self._stage is None or self._stage.stage == 0

    def _observed(self) -> list[Observation]:
        """Return what was seen so far, the open stage included."""
        if self._is_level:
            return self._level.rungs.seen if self._level.has_scores else []
        return self._check().seen if self._scores else self._seen

    def _check(self) -> Check:
        stage, lr = self._open, self._held_against
        guess = self._level.guess
        assert guess is not None
        assert lr is not None
        ahead = self._settings.ahead(stage.first_step, self._total)
        return Check(
            self._settings,
            Moment(lr, math.log2(lr / guess), ahead, stage.stage or 0),
            before=self._seen,
            scores=self._scores,
            failed=[record.trial.lr for record in self._records if record.failure is not None],
            ruled_out=self._ruled_out,
            seed=self._seed,
        )
