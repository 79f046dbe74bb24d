"""A search policy whose questions, answers and costs are written down."""

from __future__ import annotations

from autolrs_cli.contracts import Segment
from autolrs_cli.records import events
from autolrs_cli.search import (
    Choice,
    DelegatingPolicy,
    Failure,
    SearchPolicy,
    Stopped,
    Trial,
)
from autolrs_cli.search.ask_tell import TrialResult
from autolrs_cli.search.policy import UnevenStage
from autolrs_cli.training.trainer import Trainer

SURROGATE_POINTS = 48


class RecordedPolicy(DelegatingPolicy):
    """Passes everything on to another policy; the journal gets the events, the ledger the seconds.

    After each trial the policy's whole state goes into the journal: a killed run goes on from there.

    Args:
        policy: the one that answers.
        trainer: whose run it is.
    """

    def __init__(self, policy: SearchPolicy, trainer: Trainer) -> None:
        super().__init__(policy)
        self._trainer = trainer
        self._state = trainer.state
        self._stage: Segment | None = None
        self._made_before = 0

    def next_stage(self, step: int) -> Segment | None:
        """Open a stage: write a resume point before its first trial, and say what is planned."""
        self._stage = stage = self._policy.next_stage(step)
        place, points = self._state.place, self._trainer.resume_points
        place.stage = None if stage is None else stage.stage
        if stage is None:
            return None
        place.phase = self._trainer.data.phases[stage.phase].name
        if self.trials or self.choice is not None:
            points.reopen_stage(stage.first_step)
            return stage
        points.open_stage()
        self._trainer.journal.write(
            events.StageStarted(
                stage.first_step,
                stage.steps,
                stage.trial_steps,
                stage.num_trials,
                *self.interval,
                stage.objective,
                stage.all_trials if isinstance(stage, UnevenStage) else None,
            )
        )
        return stage

    def ask(self) -> Trial | None:
        """Ask, and write down what the policy believes before its question."""
        with self._state.ledger.span("search_model"):
            surrogate = self._policy.surrogate(SURROGATE_POINTS)
            trial = self._policy.ask()
        if surrogate is not None:
            self._trainer.journal.write(events.SurrogateEvent(surrogate.lrs, surrogate.mean, surrogate.std))
        if trial is None:
            return None
        self._made_before = self._state.place.total_steps
        self._state.place.trial = trial.index
        self._trainer.journal.write(
            events.TrialStarted(trial.lr, trial.end_lr, trial.steps, trial.warmup_steps)
        )
        return trial

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Tell, and write down what the policy makes of it."""
        with self._state.ledger.span("search_model"):
            best = self._policy.tell(trial, result)
        record = self._policy.trials[-1]
        forecast = record.forecast
        self._trainer.journal.write(
            events.TrialFinished(
                lr=trial.lr,
                status=record.status,
                predicted=None if forecast is None else forecast.mean,
                std=None if forecast is None else forecast.std,
                flags=() if forecast is None else forecast.flags,
                steps=self._state.place.total_steps - self._made_before,
                reason=_reason(result),
                best=best,
                failure=result.reason if isinstance(result, Failure) else None,
                end_lr=trial.end_lr,
                measured=forecast is not None and forecast.measured,
            )
        )
        self._state.place.trial = None
        self._trainer.journal.write(
            events.SearchState(self._policy.state_dict(), dict(self._state.untrained_loss))
        )
        return best

    def choose(self) -> Choice:
        """Choose, and write it down."""
        with self._state.ledger.span("search_model"):
            choice = self._policy.choose()
        assert self._stage is not None
        chosen = events.LrChosen(
            choice.lr,
            choice.predicted,
            None if choice.trial is None else choice.trial.index,
            choice.flags,
            self._stage.steps,
            choice.trial.steps if choice.keeps_end and choice.trial else 0,
            choice.account,
        )
        self._state.outcome.chosen.append(chosen)
        self._trainer.journal.write(chosen)
        return choice


def _reason(result: TrialResult) -> str | None:
    if isinstance(result, Failure):
        return result.detail
    return result.reason if isinstance(result, Stopped) else None
