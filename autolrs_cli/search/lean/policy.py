"""`search=lean` as a policy: a ramp, then checks whose knowledge is carried from one to the next."""

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
from autolrs_cli.search.lean.check import Check, Score
from autolrs_cli.search.lean.ramp import is_over, read
from autolrs_cli.search.lean.settings import LeanSearch
from autolrs_cli.search.policy import RunOutline, Surrogate
from autolrs_cli.seeding import derive_seed

HARM = 0.02
"""A loss above the lowest by more than this share of it was harmed (ours)."""


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
        self._level: float | None = None
        """Read from the ramp; the origin of the octaves in `_seen`, so that it stays."""
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
        self._reported: tuple[Sequence[int], Sequence[float]] = (), ()
        """Steps and losses of the ramp under way."""
        self._rose_at: float | None = None
        """LR at which a ramp that lowered no loss ended."""

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
        """Return the stage that kept step `step` belongs to: the ramp's, or that of a check."""
        stage = next((each for each in self._stages if each.first_step <= step < each.end), None)
        if stage is not None and stage != self._stage:
            if self._scores:
                self._seen = self._check().seen
            if self._lr is not None:
                self._lr = self.lr(stage.first_step)
            self._stage, self._ruled_out, self._held_against = stage, [], self._lr
            self._begin()
        return stage

    def ask(self) -> Trial | None:
        """Return the ramp; at a check the LR in force, and then what may be better."""
        stage = self._open
        if self._pending is None and len(self._records) < stage.num_trials:
            self._pending = self._level_trial() if stage.stage == 0 else self._check_trial()
        return self._pending

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """End the ramp when it says no more, and another trial when it is far behind."""
        if trial.end_lr is None:
            return "go" if self._open.stage == 0 else self._check().report(trial.lr, curve)
        self._reported = curve.steps, curve.values
        return Stop("read: the loss has risen again") if is_over(curve.values, trial.steps) else "go"

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Take in what came of a trial; return whether it is the best so far."""
        self._pending = None
        if trial.end_lr is not None:
            self._read_ramp(trial, result)
            return False
        if self._open.stage == 0:
            self._read_rung(trial, result)
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
        stage, lr = self._open, self._in_force
        again = ("searched_again",) if self._ruled_out else ()
        if stage.stage == 0:
            self._choice = Choice(lr, None, flags=(*again, *self._flags), account=self._account)
            return self._choice
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
        """Go on below `lr`: with another ramp, or another check."""
        self._ruled_out.append(lr)
        if self._lr is not None:
            self._lr = self._held_against = min(self._lr, lr / 2)
        self._begin()
        return lr > self._settings.lr_min

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what the open check expects."""
        return self._check().surrogate(num_points) if self._scores else None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on."""
        return {
            "stage": None if self._stage is None else self._stage.stage,
            "level": self._level,
            "lr": self._lr,
            "held_against": self._held_against,
            "seen": [asdict(each) for each in self._seen],
            "ruled_out": list(self._ruled_out),
            "records": [record.state_dict() for record in self._records],
            "scores": [asdict(score) for score in self._scores],
            "choice": None if self._choice is None else asdict(self._choice),
            "rose_at": self._rose_at,
            "account": self._account,
            "flags": list(self._flags),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._begin()
        self._stage = None if state["stage"] is None else self._stages[state["stage"]]
        self._level, self._lr, self._held_against = state["level"], state["lr"], state["held_against"]
        self._seen = [Observation(**each) for each in state["seen"]]
        self._ruled_out = list(state["ruled_out"])
        self._records = [TrialRecord.from_state(each) for each in state["records"]]
        self._scores = [Score(**{**each, "parts": tuple(each["parts"])}) for each in state["scores"]]
        self._choice = None if state["choice"] is None else Choice.from_state(state["choice"])
        self._rose_at = state["rose_at"]
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
        if self._level is not None:  # a run that diverged below the level goes on without another ramp
            return None
        number, settings = len(self._records), self._settings
        if number == 0:
            return Trial(0, settings.lr_min, self._open.trial_steps, end_lr=settings.lr_max)
        assert self._rose_at is not None
        steps = settings.shortest(self._total)
        lr = self._rose_at / settings.rung_factor**number
        return Trial(number, lr, steps, "choose", settings.weights, (steps,))

    def _read_ramp(self, ramp: Trial, result: TrialResult) -> None:
        settings = self._settings
        curve = result.curve if isinstance(result, Stopped) else result
        # A failure has no curve of its own: what was reported of it is all there is.
        steps, losses = self._reported if isinstance(curve, Failure) else (curve.steps, curve.values)
        reading = read([ramp.lr_at(step) for step in steps], losses, ramp.steps)
        self._records.append(TrialRecord(ramp, stopped="read"))
        # A shorter ramp rises faster, and its trough lies higher: by about the square root, where tried.
        trough = reading.trough_lr * math.sqrt(ramp.steps / settings.ramp_steps)
        if settings.choice == "random":
            draw = random.Random(derive_seed(self._seed, "search", "level"))  # noqa: S311 - no secret
            self._set_level(
                draw.choice([trough, reading.last_lr]) / 2 ** draw.uniform(0, 5), "drawn at random"
            )
        elif reading.gained:
            self._flags = ("upper_edge",) if reading.at_end else ()
            self._set_level(
                trough / settings.level_divisor, f"the ramp's loss is low around LR {reading.trough_lr:.2g}"
            )
        else:
            self._rose_at = reading.last_lr

    def _read_rung(self, trial: Trial, result: TrialResult) -> None:
        """Take in a trial from the initial weights, where a ramp was too short or too noisy to lower the loss."""
        if isinstance(result, Curve):
            forecast = Forecast(result.values[-1], measured=True)
            self._records.append(TrialRecord(trial, forecast))
        else:
            failure = result if isinstance(result, Failure) else None
            self._records.append(TrialRecord(trial, failure=failure, stopped=None if failure else "stopped"))
        if len(self._records) <= self._settings.rungs:
            return
        scored = {each.trial.lr: each.forecast.mean for each in self._records if each.forecast is not None}
        lowest = self._records[-1].trial.lr
        # Good LRs may raise the loss at first: the highest that did no harm, not the one with the lowest loss.
        most = min(scored.values(), default=0.0) * (1 + HARM)
        harmless = [lr for lr, loss in scored.items() if loss <= most]
        level = max(harmless, default=lowest / self._settings.rung_factor)
        self._flags = ("undetermined",)
        rungs = ", ".join(f"{each.trial.lr:.2g}" for each in self._records[1:])
        why = f"no LR of the ramp lowered the loss, which rose at {self._rose_at:.2g}"
        self._set_level(level, f"{why}; of {rungs} the highest that did no harm")

    def _set_level(self, lr: float, why: str) -> None:
        self._level = self._lr = min([lr, *(each / 2 for each in self._ruled_out)])
        self._account = f"{why}: the level is {self._level:.2g}"

    def _check_trial(self) -> Trial | None:
        octaves = self._check().ask() if self._records else 0.0
        if octaves is None:
            return None
        steps = self._open.trial_steps
        lr = self._in_force * 2**octaves
        return Trial(len(self._records), lr, steps, "choose", self._settings.weights, (1, steps // 2, steps))

    def _check(self) -> Check:
        stage, lr = self._open, self._held_against
        assert self._level is not None
        assert lr is not None
        return Check(
            self._settings,
            lr=lr,
            above_level=math.log2(lr / self._level),
            ahead=self._settings.ahead(stage.first_step, self._total),
            number=stage.stage or 0,
            before=self._seen,
            scores=self._scores,
            failed=[record.trial.lr for record in self._records if record.failure is not None],
            ruled_out=self._ruled_out,
            seed=self._seed,
        )
