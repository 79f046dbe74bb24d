"""Trials: a few steps at one LR from the start of a stage, which leave no trace unless the winner's end is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from autolrs_cli.contracts import Segment
from autolrs_cli.errors import TrainingDivergedError
from autolrs_cli.records import events
from autolrs_cli.search import Choice, Curve, SearchPolicy, Stop, Stopped, Trial
from autolrs_cli.search.ask_tell import TrialResult, Verdict
from autolrs_cli.training.divergence import DivergedError
from autolrs_cli.training.late_reading import MadeStep, in_order
from autolrs_cli.training.ledger import Bucket
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.trainer import Trainer

Report = Callable[[Trial, Curve], Verdict]


@dataclass
class MadeSteps:
    """The steps of a trial whose end state may be kept: what keeping them would have left behind."""

    trial: Trial
    losses: list[float] = field(default_factory=list)
    examples: list[int] = field(default_factory=list)
    due: dict[int, Snapshot] = field(default_factory=dict)
    """Step of the trial, 1-based -> the state after it, where that will be measured or kept."""


class Prober:
    """Makes trials, and takes the training state to where they start and end.

    Args:
        trainer: makes the steps.
        policy: whose trials they are.
        make_snapshot: one for the start of stages; another for the winner's end, made only if the policy keeps it.
    """

    def __init__(self, trainer: Trainer, policy: SearchPolicy, make_snapshot: Callable[[], Snapshot]) -> None:
        self._trainer = trainer
        self._state = trainer.state
        self._policy = policy
        self._make_snapshot = make_snapshot
        self._start = make_snapshot()
        self._start_step: int | None = None
        self._end: Snapshot | None = None
        self._latest: MadeSteps | None = None
        self._best: MadeSteps | None = None

    def save_start(self, stage: Segment) -> None:
        """Keep the state as it is: that of the stage's start."""
        self._start_step, self._best = stage.first_step, None
        with self._state.ledger.span("snapshot"):
            self._start.save()

    def restore_start(self) -> None:
        """Go back to the stage's start."""
        self._restore(self._start)

    def probe(self, trial: Trial, stage: Segment, report: Report) -> TrialResult:
        """Train up to `trial.steps` steps at the trial's LR; return its losses, or why it failed or was stopped.

        Args:
            trial: from the start of `stage`, where the training state must be.
            stage: whose batches it sees.
            report: asked after each loss whether to go on.
        """
        curve = Curve(steps := [], values := [], trial.kind, trial.weights, parts := [])
        scored_at = range(1, trial.steps + 1) if trial.scored_at is None else trial.scored_at
        verdict: Verdict = "go"
        made = MadeSteps(trial)
        with self._state.ledger.span("search_discarded"):
            for step in in_order(self._launch_all(made, stage, scored_at)):
                number, loss = step.step - stage.first_step + 1, self._settle(made, step, "search_discarded")
                if math.isfinite(loss) and number not in scored_at:
                    continue
                if math.isfinite(loss) and trial.kind == "choose":
                    loss, by_batch = self._trainer.evaluator.choose_losses(trial.weights)
                    parts.append(by_batch)
                steps.append(number)
                values.append(loss)
                self._trainer.journal.write(events.TrialStep(number, finite(loss)))
                verdict = report(trial, curve)
                if verdict != "go" or not math.isfinite(loss):
                    break
        self._latest = made
        failure = self._policy.failure_rule.check(curve, self._state.untrained_loss[trial.kind])
        if failure is not None:
            return failure
        return Stopped(curve, verdict.reason) if isinstance(verdict, Stop) else curve

    def save_end(self, trial: Trial) -> None:
        """Keep the state as it is: the end of `trial`, the best one so far."""
        assert self._latest is not None
        assert self._latest.trial == trial
        self._best = self._latest
        self._end = self._end or self._make_snapshot()
        with self._state.ledger.span("snapshot"):
            self._end.save()

    def go_on_from(self, choice: Choice, stage: Segment) -> None:
        """Go to where training goes on: the stage's start, or the winner's end, whose steps then are kept steps."""
        self.restore_start()
        if not choice.keeps_end:
            return
        assert choice.trial is not None
        if self._best is None or self._best.trial != choice.trial:
            self._make_again(choice.trial, stage)
        made, end = self._best, self._end
        assert made is not None
        assert end is not None
        start = self._trainer.resume_points.stage_start()
        self._state.ledger.move_part(
            "search_discarded", "search_kept", len(made.losses), start["ledger"] if start else None
        )
        with self._state.ledger.span("search_kept"):
            for number, (loss, examples) in enumerate(zip(made.losses, made.examples, strict=True), 1):
                self._trainer.count(
                    stage, stage.first_step + number - 1, choice.trial.lr_at(number), loss, examples
                )
                if number in made.due:
                    self._restore(made.due[number])
                    self._trainer.do_what_is_due()
                if self._trainer.is_over:  # the rest of the trial is not kept
                    self._state.ledger.move_part("search_kept", "search_discarded", len(made.losses) - number)
                    self._best = None
                    return
        self._restore(end)
        self._best = None
        self._trainer.resume_points.write_if_due()

    def take_back(self, stage: Segment, diverged: DivergedError) -> None:
        """Go back to the stage's start, since its kept steps diverged; the policy then searches it again.

        Raises:
            TrainingDivergedError: if that was done often enough, there is no lower LR to try, or the start is gone.
        """
        found, points = diverged.found, self._trainer.resume_points
        tried = [*(each for each in self._state.outcome.ruled_out if each.stage == found.stage), found]
        if len(tried) > self._policy.max_rollbacks or not self._policy.rule_out(found.lr):
            account = "; ".join(f"at LR {each.lr:.4g} at step {each.step} ({each.reason})" for each in tried)
            raise TrainingDivergedError(
                f"Stage {found.stage + 1} must train without diverging, but it diverged {account}. "
                "Raise search.max_rollbacks, or under search=paper lower search.lr_max and search.lr_min."
            )
        start = points.stage_start()
        if start is None:
            raise diverged
        if self._start_step == stage.first_step:
            self.restore_start()
        elif stored := points.stored_start():
            self._trainer.engine.load_state(stored)
        else:
            raise diverged
        from_step = self._state.place.step
        self._state.take_back(start, found)
        self._policy.rule_out(found.lr)  # again: the policy is back at the stage's start, too
        points.went_back()
        self._trainer.journal.write(
            events.RolledBack(
                found.lr,
                found.reason,
                self._state.place.step,
                from_step,
                len(tried),
                self._policy.max_rollbacks,
            )
        )

    def _launch_all(
        self, made: MadeSteps, stage: Segment, scored_at: Sequence[int] = ()
    ) -> Iterator[MadeStep]:
        """Make the steps of a trial; those in `scored_at` (1-based) are scored, and may be its last."""
        trial = made.trial
        # One with a course of its own, a ramp or one that warms up, is not gone on from.
        keeps = self._policy.keeps_winner and trial.end_lr is None and not trial.warmup_steps
        for number in range(1, trial.steps + 1):
            step = stage.first_step + number
            # A trial that is stopped may have an end that is kept, so there must be no step after it.
            at_once = number in scored_at and (keeps or trial.kind == "choose")
            launched = self._trainer.launch(
                stage.phase, step - 1, trial.lr_at(number), at_once=at_once, goes_on=number < trial.steps
            )
            if keeps and self._trainer.is_anything_due(step):
                with self._state.ledger.span("snapshot"):
                    made.due[number] = self._make_snapshot()
                    made.due[number].save()
            yield launched

    def _settle(self, made: MadeSteps, step: MadeStep, bucket: Bucket) -> float:
        """Wait for a step of a trial; return its loss."""
        loss = self._trainer.settle(step, bucket)
        if self._policy.keeps_winner:
            made.losses.append(loss)
            made.examples.append(step.examples)
        return loss

    def _make_again(self, trial: Trial, stage: Segment) -> None:
        """Make the steps of a winner again whose end was lost with an earlier process: the same, bit for bit."""
        made = MadeSteps(trial)
        with self._state.ledger.span("repeated"):
            for step in in_order(self._launch_all(made, stage)):
                self._settle(made, step, "repeated")
        self._latest = made
        self.save_end(trial)

    def _restore(self, snapshot: Snapshot) -> None:
        with self._state.ledger.span("snapshot"):
            snapshot.restore()
