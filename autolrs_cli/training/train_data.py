"""The run's training batches, by kept step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from autolrs_cli.contracts import Batch, Phase, Recipe
from autolrs_cli.training.loader import TrainLoader


class TrainData:
    """Opens the stream of the phase that is trained, and reads it from any step on.

    Args:
        recipe: whose streams are read.
        phases: the run's phases, in order.
        seed: the run's seed; fixes the order and augmentation of the data.
        workers: loader processes.
        device: where batches go.
    """

    def __init__(
        self, recipe: Recipe, phases: Sequence[Phase], *, seed: int, workers: int, device: torch.device
    ) -> None:
        self.phases = phases
        self._recipe = recipe
        self._seed = seed
        self._workers = workers
        self._device = device
        self._loaders: dict[int, TrainLoader] = {}

    def read(self, phase: int, step: int) -> tuple[Iterator[Batch], int]:
        """Return the micro-batches of kept step `step` (0-based over the run), and how many they are."""
        loader = self._loader(phase)
        loader.seek(step - sum(p.steps for p in self.phases[:phase]))
        return loader.read(), loader.micro_batches

    def _loader(self, phase: int) -> TrainLoader:
        if phase not in self._loaders:
            stream = self._recipe.train_stream(phase, self._seed)
            self._loaders = {phase: TrainLoader(stream, phase, self._workers, self._device)}
        return self._loaders[phase]
