"""Kept steps: what every schedule, searched or not, goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from autolrs_cli.contracts import Batch, EvalSplit, LossKind, Phase, WeightsKind
from autolrs_cli.errors import TrainingError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, Place
from autolrs_cli.records.run_directory import ScheduleLog
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Bucket, Ledger
from autolrs_cli.training.loader import TrainLoader, read_all
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


@dataclass
class Outcome:
    """What a run has to show so far."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Of the latest evaluation of the target slice."""
    notes: dict[str, str] = field(default_factory=dict)
    """How metrics of the latest full evaluation were computed."""
    schedule: ScheduleLog = field(default_factory=ScheduleLog)
    chosen: list[events.LrChosen] = field(default_factory=list)
    examples: int = 0
    """Seen in kept steps."""


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
        checkpoints: keeps the weights whose mean a full evaluation measures; None for recipes that have none.
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
        checkpoints: LastCheckpoints | None = None,
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
        self._checkpoints = checkpoints
        self._loaders: dict[int, TrainLoader] = {}
        self._choose_batches: list[Batch] | None = None

    @property
    def place(self) -> Place:
        """Where the run is."""
        return self.journal.place

    def keep(self, segment: Segment, lr_at: Callable[[int], float]) -> None:
        """Train the steps of `segment` for good, at the LR that `lr_at` gives for each 0-based kept step.

        Raises:
            TrainingError: if the loss becomes NaN or infinite.
            RunInterrupted: if the run was asked to stop.
        """
        bucket = BUCKETS[segment.kind]
        label = segment.kind if segment.stage is None else str(segment.stage)
        with self.ledger.span(bucket):
            for step in range(segment.first_step, segment.first_step + segment.steps):
                lr = self.engine.world.broadcast(lr_at(step))
                loss = self.advance(segment.phase, step, lr, bucket)
                self.place.step = step + 1
                self.outcome.schedule.add(label, lr)
                self._log(lr, loss)
                self._require_finite(loss, step, lr)
                self._keep_weights_if_due()
                self._evaluate_if_due()

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
            self.untrained_loss["choose"] = self.choose_loss()

    def choose_loss(self) -> float:
        """Return the loss on the slice that chooses LRs.

        The slice is small and measured many times a trial, so its batches stay on the device.
        """
        if self._choose_batches is None:
            self._choose_batches = list(self._held_out("choose"))
        return self.engine.measure(self._choose_batches)["loss"]

    def evaluate(self, *, last: bool) -> None:
        """Measure the slice that decides targets, and note whether the target is reached."""
        with self.ledger.span("evaluation"):
            metrics = self.engine.measure(self._held_out("target"))
            self.journal.write(events.Eval("target", "raw", {k: finite(v) for k, v in metrics.items()}))
            if self._is_due(self._cadence.full_eval_every_steps, last):
                metrics |= self._measure_fully()
        self.outcome.metrics = metrics
        now = Sighting(self.place.step, self.place.total_steps, self.journal.t)
        if self.watch.see(metrics, now, last=last):
            self._note_target()

    def _measure_fully(self) -> dict[str, float]:
        """Take the measures that need more than a pass over batches, with the mean of the last weights."""
        if self._checkpoints is None:
            return {}
        found = self.engine.measure_fully(self._checkpoints.mean(self.engine.model))
        self.outcome.notes = found.notes
        weights: WeightsKind = "raw" if self._checkpoints.count == 1 else "averaged"
        metrics = {name: finite(value) for name, value in found.metrics.items()}
        self.journal.write(events.Eval("target", weights, metrics, found.notes))
        return found.metrics

    def _keep_weights_if_due(self) -> None:
        if self._checkpoints is None:
            return
        last = self.place.step == self._cadence.max_steps
        if self._is_due(self._checkpoints.every_steps, last):
            with self.ledger.span("checkpoint"):
                self._checkpoints.keep(self.engine.model, self.place.step)

    def _is_due(self, every_steps: int | None, last: bool) -> bool:
        return last or (every_steps is not None and self.place.step % every_steps == 0)

    def _held_out(self, split: EvalSplit) -> Iterator[Batch]:
        stream = self.engine.recipe.eval_stream(split)
        return read_all(stream, self._workers, self.engine.device)

    def _loader(self, phase: int) -> TrainLoader:
        if phase not in self._loaders:
            stream = self.engine.recipe.train_stream(phase, self._seed)
            self._loaders = {phase: TrainLoader(stream, phase, self._workers, self.engine.device)}
        return self._loaders[phase]

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

    def _require_finite(self, loss: float, step: int, lr: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The training loss must stay finite, but it is {loss} at step {step} with LR {lr:.4g}. "
                "Lower the LR (schedule.peak_lr, or search.lr_max under AutoLRS)."
            )


def finite(value: float | None) -> float | None:
    """Return `value`, or None where strict JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None
