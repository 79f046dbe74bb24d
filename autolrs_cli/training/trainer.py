"""Kept steps: what every schedule, searched or not, goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autolrs_cli.contracts import Segment
from autolrs_cli.errors import TrainingDivergedError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal
from autolrs_cli.training.best_weights import BestWeights
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.evaluation import Evaluation, Evaluator
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.late_reading import MadeStep, in_order
from autolrs_cli.training.ledger import Bucket
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.resume_points import ResumePoints
from autolrs_cli.training.target import Sighting
from autolrs_cli.training.train_data import TrainData
from autolrs_cli.training.train_state import TrainState
from autolrs_cli.training.weights import LastCheckpoints

BUCKETS: dict[str, Bucket] = {"warm_up": "warm_up", "schedule": "training", "stage": "training"}


@dataclass(frozen=True)
class Cadence:
    """How often things happen, in kept steps, and how long the run is."""

    max_steps: int
    eval_every_steps: int
    log_every_steps: int
    full_eval_every_steps: int | None = None
    """None: only at the end."""
    stop_at_target: bool = False
    """Whether the run ends, before its planned end, once its target counts as reached."""


class Trainer:
    """Advance an engine through the data, and do what is due after each kept step.

    Args:
        engine: model and optimizer.
        data: the training batches.
        state: what the run knows.
        cadence: lengths and intervals.
        journal, stop: where events go, and who may end the run.
        evaluator: measures the held-out slices.
        resume_points: from which the run can go on.
        last_weights: keeps the weights whose mean a full evaluation measures; None for recipes that have none.
        best_weights: keeps the weights of the best evaluation; None: they are not kept.
        late: whether a step's loss may be read after the next step was made (see `late_reading`).
    """

    def __init__(
        self,
        engine: Engine,
        data: TrainData,
        state: TrainState,
        *,
        cadence: Cadence,
        journal: Journal,
        stop: StopRequest,
        evaluator: Evaluator,
        resume_points: ResumePoints,
        last_weights: LastCheckpoints | None = None,
        best_weights: BestWeights | None = None,
        late: bool = False,
    ) -> None:
        self.engine = engine
        self.data = data
        self.state = state
        self.journal = journal
        self.evaluator = evaluator
        self.resume_points = resume_points
        self._cadence = cadence
        self._stop = stop
        self._last_weights = last_weights
        self.best_weights = best_weights
        self._late = late

    def keep(self, segment: Segment, lr_at: Callable[[int], float]) -> None:
        """Train what is left of `segment` for good, at the LR that `lr_at` gives for each 0-based kept step.

        Raises:
            DivergedError: if a searched stage diverges.
            TrainingDivergedError: if another segment's loss becomes NaN or infinite.
            RunInterrupted: if the run was asked to stop.
        """
        if self.is_over or self.state.place.step >= segment.end:
            return
        bucket = BUCKETS[segment.kind]
        self.state.place.phase = self.data.phases[segment.phase].name
        with self.state.ledger.span(bucket):
            for made in in_order(self._launch_all(segment, lr_at)):
                loss = self.settle(made, bucket)
                self.count(segment, made.step, made.lr, loss, made.examples)
                self._require_sound(segment, made.step, made.lr, loss)
                if made.at_once:
                    self.do_what_is_due()
                    if self.is_over:
                        return
                    self.resume_points.write_if_due()

    def _launch_all(self, segment: Segment, lr_at: Callable[[int], float]) -> Iterator[MadeStep]:
        for step in range(self.state.place.step, segment.end):
            at_once = self.is_anything_due(step + 1) or self.resume_points.are_due
            yield self.launch(segment.phase, step, lr_at(step), at_once=at_once)

    @property
    def is_over(self) -> bool:
        """Whether the run ends before its planned end: its target is reached, and it was to stop there."""
        return self._cadence.stop_at_target and self.state.watch.reached is not None

    def launch(
        self, phase: int, step: int, lr: float, *, at_once: bool = True, goes_on: bool = True
    ) -> MadeStep:
        """Hand the optimizer step that belongs to kept step `step` to the device, in a trial or for good.

        It is to be settled before what it leads to is written down, one of several in their order.

        Args:
            phase: that the step lies in.
            step: 0-based over the run.
            lr: the base LR.
            at_once: whether it must be settled before the next one is launched.
            goes_on: whether the next step is likely to be that of `step + 1`.
        """
        self._stop.check()
        batches, micro_batches = self.data.read(phase, step)
        loss, examples = self.engine.step(batches, lr, micro_batches)
        if goes_on:
            self.data.read_ahead()
        return MadeStep(step, lr, loss, examples, at_once or not self._late)

    def settle(self, made: MadeStep, bucket: Bucket) -> float:
        """Wait for a step, charge it to `bucket`, and return its loss."""
        loss = float(made.loss)
        # The first step's loss is that of the initial weights: nothing was updated before it.
        self.state.untrained_loss.setdefault("train", loss)
        self.state.place.total_steps += 1
        self.state.ledger.count(bucket)
        return loss

    def advance(self, phase: int, step: int, lr: float, bucket: Bucket) -> tuple[float, int]:
        """Make a step and wait for it; return its loss, and how many examples it saw."""
        made = self.launch(phase, step, lr)
        return self.settle(made, bucket), made.examples

    def count(self, segment: Segment, step: int, lr: float, loss: float, examples: int) -> None:
        """Take kept step `step` (0-based), which was made, into the account of the run, and log it."""
        place, outcome = self.state.place, self.state.outcome
        place.step = step + 1
        outcome.schedule.add(segment.kind if segment.stage is None else str(segment.stage), lr)
        outcome.examples += examples
        last = place.step == self._cadence.max_steps
        if last or place.step % self._cadence.log_every_steps == 0 or not math.isfinite(loss):
            self.journal.write(events.Step(lr, finite(loss), outcome.examples))

    def is_anything_due(self, step: int) -> bool:
        """Tell whether the engine's state after `step` kept steps will be measured or kept."""
        weights = self._last_weights
        return self._is_due(self._cadence.eval_every_steps, step) or (
            weights is not None and self._is_due(weights.every_steps, step)
        )

    def do_what_is_due(self) -> None:
        """Keep the weights and evaluate, where it is time; the engine must be in the state after `place.step`."""
        step = self.state.place.step
        if self._last_weights is not None and self._is_due(self._last_weights.every_steps, step):
            self._keep_last_weights(self._last_weights)
        if self._is_due(self._cadence.eval_every_steps, step):
            self.evaluate()

    def evaluate(self) -> None:
        """Measure the slice that decides targets, and note whether the target is reached."""
        state, place = self.state, self.state.place
        last = place.step == self._cadence.max_steps
        full = not last and self._is_due(self._cadence.full_eval_every_steps, place.step)
        # Switched to once: BatchNorm's statistics may have to be estimated for it.
        with state.ledger.span("evaluation"), self.engine.evaluation_weights():
            found = self.evaluator.evaluate(place.step, full=full)
            if last:
                found = self.evaluator.complete(found, place.step)
            now = Sighting(place.step, place.total_steps, self.journal.t)
            reached = state.watch.see(found.metrics, now, last=last)
            if self.is_over and not last:
                last = True
                if self._last_weights is not None:
                    self._keep_last_weights(self._last_weights)
                found = self.evaluator.complete(found, place.step)
            if state.adaptive is not None:
                state.adaptive.observe(place.step, self.evaluator.choose_loss())
        state.outcome.metrics, state.outcome.raw_metrics = found.metrics, found.raw_metrics
        state.outcome.notes = found.notes or state.outcome.notes
        if reached:
            self._note_target()
        self._keep_if_best(found, last=last)

    def _keep_last_weights(self, weights: LastCheckpoints) -> None:
        with self.state.ledger.span("checkpoint"), self.engine.evaluation_weights():
            weights.keep(self.engine.model, self.state.place.step)

    def _keep_if_best(self, found: Evaluation, *, last: bool) -> None:
        kept, step = self.best_weights, self.state.place.step
        best = kept.better(self.state.outcome.best, found.metrics, step) if kept else None
        if kept is None or best is None:
            return
        with self.state.ledger.span("checkpoint"), self.engine.evaluation_weights():
            model = self.evaluator.judged(best.metric, found, step, last=last)
            kept.keep(model, step, self.resume_points.last_step)
        self.state.outcome.best = best

    def measure_untrained(self) -> None:
        """Measure the held-out loss of the initial weights: what a diverged trial is recognised by."""
        with self.state.ledger.span("evaluation"):
            self.state.untrained_loss["choose"] = self.evaluator.choose_loss()

    def _is_due(self, every_steps: int | None, step: int) -> bool:
        return step == self._cadence.max_steps or (every_steps is not None and step % every_steps == 0)

    def _note_target(self) -> None:
        target, reached = self.state.watch.target, self.state.watch.reached
        assert target is not None
        assert reached is not None
        self.journal.write(
            events.TargetReached(target.metric, target.value, reached.step, reached.total_steps, reached.t)
        )

    def _require_sound(self, segment: Segment, step: int, lr: float, loss: float) -> None:
        if self.state.divergence is not None and segment.kind == "stage":
            self.state.divergence.see(segment, step, lr, loss, self.state.untrained_loss["train"])
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss must stay finite, but it is {loss} at step {step} with LR {lr:.4g}. "
                "Lower the LR (schedule.peak_lr; search.lr_max under search=paper)."
            )
