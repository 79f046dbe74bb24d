"""Kept steps: what every schedule, searched or not, goes through."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autolrs_cli.contracts import AdaptiveSchedule, LossKind, Phase
from autolrs_cli.errors import TrainingError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, Place
from autolrs_cli.training.checkpoint import Checkpoint, Checkpoints
from autolrs_cli.training.divergence import DivergenceWatch, RuledOut
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.evaluation import Evaluator
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Bucket, Ledger
from autolrs_cli.training.loader import TrainLoader
from autolrs_cli.training.outcome import Outcome, finite
from autolrs_cli.training.stages import Segment
from autolrs_cli.training.target import Sighting, TargetWatch
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
    checkpoint_every_seconds: float = math.inf


class Trainer:
    """Advance an engine through the data, and write down what happens.

    Args:
        engine: model and optimizer.
        phases: the run's phases, in order.
        seed: the run's seed; fixes the order and augmentation of the data.
        workers: loader processes.
        cadence: lengths and intervals.
        journal, ledger, stop: where events and costs go, and who may end the run.
        watch: decides when the target is reached.
        last_weights: keeps the weights whose mean a full evaluation measures; None for recipes that have none.
        checkpoints: where resume points go; None: nowhere.
        adaptive: the schedule, if it depends on how the run goes.
        batch_norm_batches: micro-batches that BatchNorm's statistics of averaged weights are estimated on.
        divergence: judges the kept steps of searched stages; None: only a loss that is not finite is an error.
    """

    def __init__(
        self,
        engine: Engine,
        phases: Sequence[Phase],
        *,
        seed: int,
        workers: int,
        cadence: Cadence,
        journal: Journal,
        ledger: Ledger,
        stop: StopRequest,
        watch: TargetWatch,
        last_weights: LastCheckpoints | None = None,
        checkpoints: Checkpoints | None = None,
        divergence: DivergenceWatch | None = None,
        batch_norm_batches: int = 0,
        adaptive: AdaptiveSchedule | None = None,
    ) -> None:
        self.engine = engine
        self.journal = journal
        self.ledger = ledger
        self.outcome = Outcome()
        self.watch = watch
        self.untrained_loss: dict[LossKind, float] = {}
        self._phases = phases
        self._seed = seed
        self._workers = workers
        self._cadence = cadence
        self._stop = stop
        self._last_weights = last_weights
        self.evaluator = Evaluator(
            engine,
            journal,
            seed=seed,
            workers=workers,
            last_weights=last_weights,
            batch_norm_batches=batch_norm_batches,
            notice=self._notice,
        )
        self._checkpoints = checkpoints
        self._divergence = divergence
        self._adaptive = adaptive
        self._stage_start: dict[str, Any] = {}
        self._checkpointed_at = time.perf_counter()
        self._loaders: dict[int, TrainLoader] = {}

    @property
    def place(self) -> Place:
        """Where the run is."""
        return self.journal.place

    def keep(self, segment: Segment, lr_at: Callable[[int], float]) -> None:
        """Train what is left of `segment` for good, at the LR that `lr_at` gives for each 0-based kept step.

        Raises:
            DivergedError: if a searched stage diverges.
            TrainingError: if another segment's loss becomes NaN or infinite.
            RunInterrupted: if the run was asked to stop.
        """
        bucket = BUCKETS[segment.kind]
        label = segment.kind if segment.stage is None else str(segment.stage)
        with self.ledger.span(bucket):
            for step in range(self.place.step, segment.first_step + segment.steps):
                lr = self.engine.world.broadcast(lr_at(step))
                loss = self.advance(segment.phase, step, lr, bucket)
                self.place.step = step + 1
                self.outcome.schedule.add(label, lr)
                self._log(lr, loss)
                self._require_sound(segment, step, lr, loss)
                self._keep_weights_if_due()
                self._evaluate_if_due()
                self._checkpoint_if_due()

    def advance(self, phase: int, step: int, lr: float, bucket: Bucket) -> float:
        """Make the optimizer step that belongs to kept step `step`, in a trial or for good; return its loss."""
        self._stop.check()
        loader = self._loader(phase)
        loader.seek(step - sum(p.steps for p in self._phases[:phase]))
        loss, examples = self.engine.step(loader.read(), lr, loader.micro_batches)
        # The first step's loss is that of the initial weights: nothing was updated before it.
        self.untrained_loss.setdefault("train", loss)
        self.place.total_steps += 1
        self.ledger.count(bucket)
        if bucket != "search_discarded":
            self.outcome.examples += examples
        return loss

    def measure_untrained(self) -> None:
        """Measure the held-out loss of the initial weights: what a diverged trial is recognised by."""
        with self.ledger.span("evaluation"):
            self.untrained_loss["choose"] = self.evaluator.choose_loss()

    def evaluate(self, *, last: bool) -> None:
        """Measure the slice that decides targets, and note whether the target is reached."""
        full = self._is_due(self._cadence.full_eval_every_steps, last)
        with self.ledger.span("evaluation"):
            found = self.evaluator.evaluate(self.place.step, full=full, last=last)
            if self._adaptive is not None:
                self._adaptive.observe(self.place.step, self.evaluator.choose_loss())
        self.outcome.metrics, self.outcome.raw_metrics = found.metrics, found.raw_metrics
        self.outcome.notes = found.notes or self.outcome.notes
        now = Sighting(self.place.step, self.place.total_steps, self.journal.t)
        if self.watch.see(found.metrics, now, last=last):
            self._note_target()

    def _keep_weights_if_due(self) -> None:
        if self._last_weights is None:
            return
        last = self.place.step == self._cadence.max_steps
        if self._is_due(self._last_weights.every_steps, last):
            with self.ledger.span("checkpoint"):
                self._last_weights.keep(self.engine.model, self.place.step)

    def checkpoint(self, *, went_back: bool = False) -> None:
        """Write a resume point of the run as it is: between two kept steps, outside of trials.

        Args:
            went_back: resume points of later steps, and one of the same step, no longer count.

        Raises:
            TrainingError: if it cannot be written.
        """
        if self._checkpoints is None:
            return
        with self.ledger.span("checkpoint"):
            state = self.engine.state()
            state.values["run"] = {**self._state(), "journal_bytes": self.journal.mark()}
            self._checkpoints.write(
                self.place.step, state, keep=self._stage_start.get("step"), replace=went_back
            )
            if self._last_weights is not None:
                self._last_weights.prune(self._checkpoints.steps()[0])
        self.journal.write(events.Checkpoint(self.ledger.totals()))
        self._checkpointed_at = time.perf_counter()

    def _state(self) -> dict[str, Any]:
        """Return what a run that goes on must know beside the engine's state, as JSON."""
        return {
            "step": self.place.step,
            "total_steps": self.place.total_steps,
            "t": self.journal.t,
            "ledger": self.ledger.state_dict(),
            "watch": self.watch.state_dict(),
            "untrained_loss": dict(self.untrained_loss),
            "outcome": self.outcome.as_json(),
            "divergence": self._divergence.state_dict() if self._divergence else None,
            "adaptive": self._adaptive.state_dict() if self._adaptive else None,
        }

    def begin_stage(self, *, announce: bool) -> None:
        """Remember where a searched stage starts, on disk too if `announce`: it may be gone back to."""
        self._stage_start = self._state()
        if announce:
            self.checkpoint_or_warn()

    def go_on_with_stage(self, first_step: int) -> Checkpoint | None:
        """Find the start of the stage that an earlier process began; None if it was not written.

        Raises:
            TrainingError: if it was, and is damaged.
        """
        if self._checkpoints is None or first_step not in self._checkpoints.steps():
            return None
        start = self._checkpoints.read_at(first_step)
        self._stage_start = start.values["run"]
        return start

    def take_back_stage(self, found: RuledOut, attempts: int) -> None:
        """Forget the kept steps of the open stage, which diverged; what they cost stays, as cost of the search.

        The engine must be back at the stage's start.

        Args:
            found: the divergence.
            attempts: how often the stage may be searched again.
        """
        start, now = self._stage_start, self.outcome
        self.ledger.move("training", "search_discarded", start["ledger"])
        from_step, self.place.step = self.place.step, start["step"]
        self.watch.load_state_dict(start["watch"])
        self.outcome = Outcome.from_json(start["outcome"])
        self.outcome.resumed, self.outcome.bit_exact = now.resumed, now.bit_exact
        self.outcome.notices = now.notices
        self.outcome.ruled_out = [*now.ruled_out, found]
        if self._last_weights is not None:
            self._last_weights.drop_after(self.place.step)
        attempt = sum(each.stage == found.stage for each in self.outcome.ruled_out)
        self.journal.write(
            events.RolledBack(found.lr, found.reason, self.place.step, from_step, attempt, attempts)
        )
        self.checkpoint_or_warn(went_back=True)

    def forget_resume_points(self) -> None:
        """Drop what only a run that goes on needs; the weights of the last checkpoints stay."""
        if self._checkpoints is not None:
            self._checkpoints.forget()
        if self._last_weights is not None:
            self._last_weights.prune(self.place.step)

    def go_on_from(self, state: Checkpoint) -> None:
        """Put the run back to where `checkpoint` left it; journal and ledger's lost time are the caller's.

        Raises:
            ConfigError: if it is of another model.
        """
        self.engine.load_state(state)
        run = state.values["run"]
        self.place.step, self.place.total_steps = run["step"], run["total_steps"]
        self.ledger.load_state_dict(run["ledger"])
        self.watch.load_state_dict(run["watch"])
        self.untrained_loss.update(run["untrained_loss"])
        if self._divergence is not None:
            self._divergence.load_state_dict(run["divergence"])
        if self._adaptive is not None:
            self._adaptive.load_state_dict(run["adaptive"])
        self.outcome = Outcome.from_json(run["outcome"])

    def _checkpoint_if_due(self) -> None:
        if time.perf_counter() - self._checkpointed_at >= self._cadence.checkpoint_every_seconds:
            self.checkpoint_or_warn()

    def checkpoint_or_warn(self, *, went_back: bool = False) -> None:
        """Write a resume point; where that fails, say so and go on: the one before it stays good."""
        try:
            self.checkpoint(went_back=went_back)
        except TrainingError as error:
            self._checkpointed_at = time.perf_counter()
            message = (
                f"{error} Training goes on; until then, it can be resumed from the checkpoint before only."
            )
            self.journal.write(events.Warned(message))

    def _is_due(self, every_steps: int | None, last: bool) -> bool:
        return last or (every_steps is not None and self.place.step % every_steps == 0)

    def _loader(self, phase: int) -> TrainLoader:
        if phase not in self._loaders:
            stream = self.engine.recipe.train_stream(phase, self._seed)
            loader = TrainLoader(
                stream,
                phase,
                self._workers,
                self.engine.device,
                notice=self._notice,
                waiting=self._stop.check,
            )
            self._loaders = {phase: loader}
        return self._loaders[phase]

    def _notice(self, said: str) -> None:
        """Write down what a stream has to say, once."""
        if said not in self.outcome.notices:
            self.outcome.notices.append(said)
            self.journal.write(events.Warned(said))

    def _log(self, lr: float, loss: float) -> None:
        due = (
            self.place.step % self._cadence.log_every_steps == 0 or self.place.step == self._cadence.max_steps
        )
        if due or not math.isfinite(loss):
            self.journal.write(events.Step(lr, finite(loss), self.outcome.examples))

    def _evaluate_if_due(self) -> None:
        last = self.place.step == self._cadence.max_steps
        if self._is_due(self._cadence.eval_every_steps, last):
            self.evaluate(last=last)

    def _note_target(self) -> None:
        target, reached = self.watch.target, self.watch.reached
        assert target is not None
        assert reached is not None
        self.journal.write(
            events.TargetReached(target.metric, target.value, reached.step, reached.total_steps, reached.t)
        )

    def _require_sound(self, segment: Segment, step: int, lr: float, loss: float) -> None:
        if self._divergence is not None and segment.kind == "stage":
            self._divergence.see(segment, step, lr, loss, self.untrained_loss["train"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"The training loss must stay finite, but it is {loss} at step {step} with LR {lr:.4g}. "
                "Lower the LR (schedule.peak_lr, or search.lr_max under AutoLRS)."
            )
