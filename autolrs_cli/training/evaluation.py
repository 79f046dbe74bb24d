"""Measuring the held-out slices, with raw and with averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from torch import nn

from autolrs_cli.contracts import Batch, EvalSplit, FullyMeasured, WeightsKind, kept
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal
from autolrs_cli.training.averaging import batch_norms
from autolrs_cli.training.batch_norm import first_batches
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.loader import Notice, read_all, unheard
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.weights import LastCheckpoints


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found."""

    metrics: dict[str, float]
    """Of the slice that decides targets, with the weights that decide; `choose_loss` too at the end of the run."""
    raw_metrics: dict[str, float]
    """With raw weights, where averaged ones decide; else empty."""
    notes: dict[str, str] = field(default_factory=dict)
    """How metrics of a full evaluation were computed."""
    full: frozenset[str] = frozenset()
    """Metrics of a full evaluation."""


class Evaluator:
    """Measure, and write down what was found.

    Args:
        engine: whose model is measured.
        journal: where `eval` events go.
        seed: the run's seed.
        workers: loader processes.
        last_weights: the checkpoints whose mean a full evaluation measures; None: the engine averages, or the recipe
            has no full evaluation.
        batch_norm_batches: micro-batches that BatchNorm's statistics of averaged weights are estimated on.
        notice: told what streams have to say of their batches.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        seed: int,
        workers: int,
        last_weights: LastCheckpoints | None = None,
        batch_norm_batches: int = 0,
        notice: Notice = unheard,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._seed = seed
        self._workers = workers
        self._last_weights = last_weights
        self._batch_norm_batches = batch_norm_batches
        self._notice = notice
        self._norm_batches: list[Batch] | None = None
        self._choose_batches: list[Batch] | None = None

    def choose_loss(self, weights: WeightsKind = "raw") -> float:
        """Return the loss of raw or averaged weights on the slice that chooses LRs."""
        return self.choose_losses(weights)[0]

    def choose_losses(self, weights: WeightsKind = "raw") -> tuple[float, tuple[float, ...]]:
        """Return that loss, and the mean loss of each of the slice's batches."""
        if weights == "averaged":
            self._engine.estimate_batch_norm(self._engine.averaged_model, self._batches_for_norms())
        parts = self._engine.measure_parts(self._slice_that_chooses(), weights)
        values, terms = zip(*(part["loss"] for part in parts), strict=True)
        each = tuple(float(value) / weight for value, weight in zip(values, terms, strict=True))
        return float(sum(values[1:], values[0])) / sum(terms), each

    def evaluate(self, step: int, *, full: bool) -> Evaluation:
        """Measure the slice that decides targets; averaged weights decide where there are any (method rule 9).

        Args:
            step: kept steps so far.
            full: whether to take the measures that need more than a pass over batches.
        """
        raw = metrics = self._measure("target", "raw")
        averages = self._engine.averaged is not None
        if averages:
            self._engine.estimate_batch_norm(self._engine.averaged_model, self._batches_for_norms())
            metrics = self._measure("target", "averaged")
        found = Evaluation(metrics, raw if averages else {})
        return self._with_full(found, step, last=False) if full else found

    def complete(self, found: Evaluation, step: int) -> Evaluation:
        """Return `found` with what is measured at a run's end alone: in full, and the slice that chooses LRs.

        By the loss on that slice schedules are tuned.

        Args:
            found: by `evaluate`, of the weights as they are.
            step: kept steps so far; those are all.
        """
        kinds: tuple[WeightsKind, ...] = ("raw", "averaged") if found.raw_metrics else ("raw",)
        found = self._with_full(found, step, last=True)
        losses = [self._measure("choose", kind)["loss"] for kind in kinds]
        return replace(found, metrics=found.metrics | {"choose_loss": losses[-1]})

    def _with_full(self, found: Evaluation, step: int, *, last: bool) -> Evaluation:
        metrics, notes = self._measure_fully(step, last=last)
        return replace(found, metrics=found.metrics | metrics, notes=notes, full=frozenset(metrics))

    def judged(self, metric: str, found: Evaluation, step: int, *, last: bool) -> nn.Module:
        """Return the model whose `metric` was just measured; inside `Engine.evaluation_weights`.

        Args:
            metric: a name in `found.metrics`.
            found: the evaluation.
            step: kept steps so far.
            last: whether the run ends here.
        """
        if self._engine.averaged is not None:
            return self._engine.averaged_model
        if metric in found.full and self._last_weights is not None:
            return self._last_weights.mean(self._engine.model, step, last=last)
        return self._engine.model

    def _measure(self, split: EvalSplit, weights: WeightsKind) -> dict[str, float]:
        batches = self._slice_that_chooses() if split == "choose" else self._read(split)
        metrics = self._engine.measure(batches, weights)
        self._journal.write(events.Eval(split, weights, {k: finite(v) for k, v in metrics.items()}))
        return metrics

    def _measure_fully(self, step: int, *, last: bool) -> tuple[dict[str, float], dict[str, str]]:
        if not isinstance(self._engine.recipe, FullyMeasured):
            return {}, {}
        weights: WeightsKind = "averaged"
        if self._last_weights is None:
            found = self._engine.measure_fully(self._engine.averaged_model)
        else:
            weights = "raw" if self._last_weights.count == 1 else "averaged"
            # Before the first checkpoint, the mean is the model as it is.
            with self._engine.evaluation_weights():
                mean = self._last_weights.mean(self._engine.model, step, last=last)
            found = self._engine.measure_fully(mean)
        metrics = {name: finite(value) for name, value in found.metrics.items()}
        self._journal.write(events.Eval("target", weights, metrics, found.notes))
        return found.metrics, found.notes

    def _batches_for_norms(self) -> Iterable[Batch]:
        """Return the first training batches of the run, the same at every evaluation."""
        if not batch_norms(self._engine.averaged_model):
            return ()
        if self._norm_batches is None:
            self._norm_batches = first_batches(
                self._engine.recipe,
                self._seed,
                self._batch_norm_batches,
                self._engine.device,
                self._engine.world.size,
            )
        return self._norm_batches

    def _slice_that_chooses(self) -> list[Batch]:
        """Return its batches: it is small and measured many times a trial, so they stay on the device."""
        if self._choose_batches is None:
            # Copies: what workers read stays in shared memory, of which there may be little; on a device, it is one.
            copied = self._workers and self._engine.device.type == "cpu"
            self._choose_batches = [
                {name: tensor.clone() for name, tensor in batch.items()} if copied else kept(batch)
                for batch in self._read("choose")
            ]
        return self._choose_batches

    def _read(self, split: EvalSplit) -> Iterator[Batch]:
        stream = self._engine.recipe.eval_stream(split)
        world = self._engine.world
        return read_all(
            stream, self._workers, self._engine.device, self._notice, share=(world.rank, world.size)
        )
