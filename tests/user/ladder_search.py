"""A search as a user would write one: a few LRs around the last winner, stages and trials as long as it sees fit.

Its options switch on one by one what a policy may do beyond the published one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from autolrs_cli.contracts import Segment
from autolrs_cli.search import (
    Choice,
    Curve,
    Failure,
    FailureRule,
    Forecast,
    RunOutline,
    SearchEffort,
    Stop,
    Stopped,
    Trial,
    TrialRecord,
)
from autolrs_cli.settings import Section

SHORTEST = 12


class LadderSearch(Section):
    """Settings of the ladder."""

    name: str
    first_lr: float
    factors: tuple[float, ...]
    first_stage_steps: int
    growth: float
    """A stage is this many times longer than the one before, where the LR in force was the best one."""
    keeps_winner: bool
    stops_early: bool
    weights: Literal["raw", "averaged"]

    def problems(self, run: RunOutline) -> list[str]:
        if self.weights == "averaged" and not run.averaged:
            return ["`search.weights=averaged` needs averaged weights, but average=none. Set average=ema."]
        return []

    def stages(self, run: RunOutline) -> tuple[Segment, ...]:
        return ()

    def most(self, run: RunOutline) -> SearchEffort:
        total = sum(phase.steps for phase in run.phases)
        steps = len(self.factors) * (total - run.warmup_steps) // 2
        held_out = steps if self.weights == "averaged" else 0
        return SearchEffort(steps, steps - held_out, held_out, total)

    def policy(self, run: RunOutline) -> Ladder:
        return Ladder(self, run)


class Ladder:
    """Best of a few factors around the LR in force."""

    max_rollbacks = 1

    def __init__(self, settings: LadderSearch, run: RunOutline) -> None:
        self.failure_rule = FailureRule(1.5, 0.1)
        self.keeps_winner = settings.keeps_winner
        self._settings = settings
        self._run = run
        self._stage: Segment | None = None
        self._lr = settings.first_lr
        self._length = settings.first_stage_steps
        self._records: list[TrialRecord] = []
        self._pending: Trial | None = None
        self._best: TrialRecord | None = None
        self._choice: Choice | None = None
        self._ruled_out: list[float] = []

    @property
    def interval(self) -> tuple[float, float]:
        lrs = [self._lr * factor for factor in self._settings.factors]
        return min(lrs), max(lrs)

    @property
    def trials(self) -> list[TrialRecord]:
        return self._records

    @property
    def choice(self) -> Choice | None:
        return self._choice

    def next_stage(self, step: int) -> Segment | None:
        if self._stage is not None and self._stage.first_step <= step < self._stage.end:
            return self._stage
        number = 0
        if self._stage is not None and self._stage.stage is not None and self._choice is not None:
            number = self._stage.stage + 1
            if self._choice.lr == self._lr:
                self._length = round(self._length * self._settings.growth)
            self._lr = self._choice.lr
        first = 0
        for index, phase in enumerate(self._run.phases):
            left = first + phase.steps - step
            if left > 0:
                length = self._length if left - self._length >= SHORTEST else left
                kind = "choose" if self._settings.weights == "averaged" else "train"
                trial_steps, count = length // 2, len(self._settings.factors)
                self._stage = Segment("stage", index, step, length, number, trial_steps, kind, count)
                self._records, self._choice, self._best, self._ruled_out = [], None, None, []
                return self._stage
            first += phase.steps
        return None

    def ask(self) -> Trial | None:
        assert self._stage is not None
        index = len(self._records)
        if self._pending is None and index < len(self._settings.factors):
            lr, steps = self._lr * self._settings.factors[index], self._stage.trial_steps
            if self._ruled_out:
                lr = min(lr, min(self._ruled_out) / 2)
            at = (steps // 2, steps) if self._settings.weights == "averaged" else None
            self._pending = Trial(index, lr, steps, self._stage.objective, self._settings.weights, at)
        return self._pending

    def report(self, trial: Trial, curve: Curve) -> Stop | Literal["go"]:
        best = self._best.forecast if self._best else None
        if self._settings.stops_early and best and curve.steps[-1] == 5 and curve.values[-1] > best.mean:
            return Stop(f"after 5 steps its loss {curve.values[-1]:.3f} is above the best trial's last")
        return "go"

    def tell(self, trial: Trial, result: Curve | Failure | Stopped) -> bool:
        self._pending = None
        if isinstance(result, Failure):
            self._records.append(TrialRecord(trial, failure=result))
            return False
        if isinstance(result, Stopped):
            self._records.append(TrialRecord(trial, stopped=result.reason))
            return False
        record = TrialRecord(trial, Forecast(result.values[-1]))
        self._records.append(record)
        best = self._best.forecast if self._best else None
        if best is not None and result.values[-1] >= best.mean:
            return False
        self._best = record
        return True

    def choose(self) -> Choice:
        best = self._best
        if best is None or best.forecast is None:
            self._choice = Choice(self._lr / 10, None, flags=("all_failed",))
        else:
            self._choice = Choice(best.trial.lr, best.trial, self.keeps_winner, best.forecast.mean)
        return self._choice

    def lr(self, step: int) -> float:
        """Decay within the stage: a policy may choose more than one LR."""
        assert self._stage is not None
        assert self._choice is not None
        return self._choice.lr * 0.9 ** ((step - self._stage.first_step) // 10)

    def rule_out(self, lr: float) -> bool:
        self._ruled_out.append(lr)
        self._records, self._choice, self._best = [], None, None
        return True

    def surrogate(self, num_points: int) -> None:
        return None

    def state_dict(self) -> dict[str, Any]:
        return {
            "stage": asdict(self._stage) if self._stage else None,
            "lr": self._lr,
            "length": self._length,
            "records": [record.state_dict() for record in self._records],
            "best": self._best.state_dict() if self._best else None,
            "choice": asdict(self._choice) if self._choice else None,
            "ruled_out": self._ruled_out,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._stage = Segment(**state["stage"]) if state["stage"] else None
        self._lr, self._length = state["lr"], state["length"]
        self._records = [TrialRecord.from_state(record) for record in state["records"]]
        self._best = TrialRecord.from_state(state["best"]) if state["best"] else None
        self._choice = Choice.from_state(state["choice"]) if state["choice"] else None
        self._ruled_out = list(state["ruled_out"])
        self._pending = None
