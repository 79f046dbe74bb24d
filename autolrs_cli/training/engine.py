"""The state that training changes, and the one way to change it: an optimizer step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, SupportsFloat

import torch
from torch import nn

from autolrs_cli.contracts import Batch, FullMeasure, FullyMeasured, OptimizerFactory, Recipe, WeightsKind
from autolrs_cli.errors import UnusableDataError
from autolrs_cli.seeding import derive_seed
from autolrs_cli.settings import AverageSettings, Compile
from autolrs_cli.training.averaging import averaged_weights, batch_norms
from autolrs_cli.training.batch_norm import first_batches, kept_statistics
from autolrs_cli.training.checkpoint import Checkpoint
from autolrs_cli.training.engine_state import load_training_tensors, training_tensors
from autolrs_cli.training.late_reading import mean_loss
from autolrs_cli.training.loss_function import loss_function
from autolrs_cli.training.optimizer_state import (
    batchnorm_batches,
    evaluation_weights,
    make_ready,
    set_lr,
)
from autolrs_cli.training.random_streams import (
    loaded_streams,
    random_states,
    seed_everything,
    set_random_states,
    stored_streams,
)
from autolrs_cli.training.shared_parts import shared_parts
from autolrs_cli.training.shared_step import SharedStep
from autolrs_cli.training.weights import load_weights
from autolrs_cli.training.world import World


class Engine:
    """Model and optimizer of one recipe on one device.

    The model is drawn from the `initialisation` stream of `seed`; afterwards torch's global state stands at the
    start of the `dropout` stream, and nothing but the model draws from it.

    Args:
        recipe: what is trained.
        make_optimizer: from the recipe's parameter groups to an optimizer whose groups keep their `lr_ratio`.
        seed: the run's seed.
        device: where it is computed.
        precision: "fp32", or "bf16" for autocast.
        world: the processes that share each global batch.
        average: how weights are averaged beside the raw ones; None: they are not.
        initial: a file of weights to begin with, by `save_weights`; None: those that were drawn.
        compiled: whether and how the loss is compiled.

    Raises:
        ConfigError: if the weights in `initial` are not of this model.
    """

    def __init__(
        self,
        recipe: Recipe,
        make_optimizer: OptimizerFactory,
        *,
        seed: int,
        device: torch.device,
        precision: str = "fp32",
        world: World | None = None,
        average: AverageSettings | None = None,
        initial: Path | None = None,
        compiled: Compile = "none",
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.world = world or World()
        self._precision = precision
        self._seed = seed
        self._norm_batches: list[Batch] | None = None
        self._loss = loss_function(recipe, compiled)
        torch.manual_seed(derive_seed(seed, "initialisation"))
        self.model: nn.Module = recipe.model().to(device).train()
        if initial is not None:  # before the optimizer and the average, which may copy the weights
            load_weights(self.model, initial)
        self.optimizer: torch.optim.Optimizer = make_optimizer(recipe.parameter_groups(self.model))
        make_ready(self.optimizer)
        self._is_judged = False
        self.averaged = averaged_weights(self.model, average) if average else None
        self._shared = SharedStep(self.world, self.model) if self.world.size > 1 else None
        # Each process sees other examples, so it draws other dropout.
        seed_everything(derive_seed(seed, "dropout", *((self.world.rank,) if self.world.rank else ())))

    def step(self, batches: Iterable[Batch], lr: float, micro_batches: int = 1) -> tuple[SupportsFloat, int]:
        """Make one optimizer update from the micro-batches of one step; return its mean loss and its examples.

        The mean is taken over the terms of the whole global batch, so it does not depend on the split into
        micro-batches, nor on that among processes, each of which hands in its own part. The loss is that of the
        weights before the update, and may be non-finite. Where the device works by itself, the step is only handed to
        it: `float(loss)` waits for it.

        Raises:
            UnusableDataError: if the step has no term that could be learnt from.
        """
        assert not self._is_judged
        set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, weight, examples = self._backward(batches, micro_batches)
        self.optimizer.step()
        if self.averaged is not None:
            with evaluation_weights(self.optimizer):
                self.averaged.update_parameters(self.model)
        return mean_loss(loss_sum, weight), examples

    def measure(self, batches: Iterable[Batch], weights: WeightsKind = "raw") -> dict[str, float]:
        """Return the mean of each of the recipe's measures over held-out batches; training state is untouched."""
        sums: dict[str, torch.Tensor] = {}
        terms: dict[str, float] = {}
        for part in self.measure_parts(batches, weights):
            for name, (value, weight) in part.items():
                sums[name] = sums[name] + value if name in sums else value
                terms[name] = terms.get(name, 0.0) + weight
        return {name: float(value) / terms[name] for name, value in sums.items()}

    def measure_parts(
        self, batches: Iterable[Batch], weights: WeightsKind = "raw"
    ) -> list[dict[str, tuple[torch.Tensor, float]]]:
        """Return sum (scalar tensor) and weight of each of the recipe's measures, held-out batch by batch.

        Of several processes, each hands in those batches of the slice that it shares in, and gets all.
        """
        model = self.model if weights == "raw" else self.averaged_model
        model.eval()
        try:
            with self.evaluation_weights(), torch.no_grad(), self._autocast():
                own = [self.recipe.measure(model, batch) for batch in batches]
        finally:
            self.model.train()
        return own if self.world.size == 1 else shared_parts(self.world, own)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Hold in `model` the weights that are judged, written and averaged; afterwards those that are trained.

        They differ for a `SwitchingOptimizer` only. BatchNorm's statistics are those of the judged weights too, if the
        optimizer says on how many batches to estimate them.
        """
        if self._is_judged:
            yield
            return
        with evaluation_weights(self.optimizer):
            self._is_judged = True
            try:
                with self._judged_statistics():
                    yield
            finally:
                self._is_judged = False

    @contextmanager
    def _judged_statistics(self) -> Iterator[None]:
        count, norms = batchnorm_batches(self.optimizer), batch_norms(self.model)
        if not count or not norms:
            yield
            return
        if self._norm_batches is None:
            self._norm_batches = first_batches(self.recipe, self._seed, count, self.device, self.world.size)
        with kept_statistics(norms):
            self.estimate_batch_norm(self.model, self._norm_batches)
            yield
        self.model.train()

    @property
    def averaged_model(self) -> nn.Module:
        """The model with averaged weights, in eval mode."""
        assert self.averaged is not None
        return self.averaged.read()

    def estimate_batch_norm(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Estimate BatchNorm's statistics of `model` on training batches, and leave it in eval mode.

        Only BatchNorm is in training mode meanwhile, so nothing is drawn from the random streams.
        """
        norms = batch_norms(model)
        momenta = [norm.momentum for norm in norms]
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
            norm.train()
        with torch.no_grad(), self._autocast():
            for batch in batches:
                self.recipe.loss(model, batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def measure_fully(self, model: nn.Module) -> FullMeasure:
        """Return the measures that need more than a pass over batches, of a copy of the model."""
        assert isinstance(self.recipe, FullyMeasured)
        model.eval()
        with torch.no_grad(), self._autocast():
            return self.recipe.measure_fully(model, self.device)

    def state(self) -> Checkpoint:
        """Return everything that training changes, random streams of all processes included.

        Raises:
            TrainingError: if the optimizer keeps something that cannot be written.
        """
        assert not self._is_judged
        shared = self.share_streams()  # first: the others wait for it, whatever cannot be written here
        tensors, values = training_tensors(self.model, self.optimizer, self.averaged)
        for rank, streams in enumerate(shared):
            own_tensors, own_values = stored_streams(streams, rank)
            tensors |= own_tensors
            values |= own_values
        return Checkpoint(tensors, values)

    def share_streams(self) -> list[dict[str, Any]]:
        """Return the states of the random streams of each process, by rank."""
        return self.world.gather(random_states(self.device))

    def load_state(self, state: Checkpoint) -> None:
        """Put everything back; a process that the state knows nothing of keeps its random streams.

        Raises:
            ConfigError: if it is of another model.
        """
        load_training_tensors(self.model, self.optimizer, state.tensors, state.values, self.averaged)
        streams = loaded_streams(state.tensors, state.values, self.world.rank)
        if streams is not None:
            set_random_states(streams, self.device)

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _backward(self, batches: Iterable[Batch], micro_batches: int) -> tuple[torch.Tensor, float, int]:
        # Gradients are divided by the weight that the step would have if all micro-batches weighed as much as
        # the first; for equal weights (images) that is exact, and one pass over the gradients is saved.
        assumed = 0.0
        total, weight, examples, left_out = torch.zeros((), device=self.device), 0.0, 0, 0
        for batch in batches:
            if self._shared is not None and not self.recipe.examples(batch):
                left_out += 1
                continue  # a small batch has fewer examples than there are processes and micro-batches
            with self._autocast():
                loss_sum, terms = self._loss(self.model, batch)
            first = not assumed
            assumed = assumed or (terms or 1.0) * micro_batches * self.world.size
            torch.autograd.backward(loss_sum / assumed)
            if micro_batches > 1:
                self._loss.keep(self.model.parameters(), first=first)
            total = total + loss_sum.detach()
            weight += terms
            examples += self.recipe.examples(batch)
        if self._shared is not None:
            total, weight, examples = self._shared.add_up(total, weight, examples, assumed, left_out)
        if not weight:
            raise UnusableDataError(
                "A step must have at least one term in its loss, but this one has none. "
                "Raise recipe.global_batch, or check the data."
            )
        if self._shared is None and weight != assumed:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            torch._foreach_mul_(gradients, assumed / weight)
        return total, weight, examples

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bf16")
