"""The run's training batches, by kept step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from autolrs_cli.contracts import Batch, Divisible, Phase, Recipe, TrainStream
from autolrs_cli.training.loader import Notice, TrainLoader, unheard
from autolrs_cli.training.placing import Placing
from autolrs_cli.training.world import World


def train_stream(recipe: Recipe, phase: int, seed: int, world_size: int) -> TrainStream:
    """Open the training stream of a phase, as `world_size` processes share it."""
    if world_size == 1:
        return recipe.train_stream(phase, seed)
    assert isinstance(recipe, Divisible)
    return recipe.train_stream(phase, seed, world_size)


class TrainData:
    """Opens the stream of the phase that is trained, and reads it from any step on.

    Args:
        recipe: whose streams are read.
        phases: the run's phases, in order.
        seed: the run's seed; fixes the order and augmentation of the data.
        workers: loader processes.
        device: where batches go.
        notice: told what the streams have to say of their batches.
        world: the processes that share each global batch.
        waiting: called now and then while a step's first batch is waited for; may raise, to stop there.
        shaped: what is made of a batch before it goes to the device.
    """

    def __init__(
        self,
        recipe: Recipe,
        phases: Sequence[Phase],
        *,
        seed: int,
        workers: int,
        device: torch.device,
        world: World | None = None,
        notice: Notice = unheard,
        waiting: Callable[[], None] = lambda: None,
        shaped: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> None:
        self.phases = phases
        self._recipe = recipe
        self._seed = seed
        self._workers = workers
        self._device = device
        self._world = world or World()
        self._notice = notice
        self._waiting = waiting
        self._placing = Placing(device, shaped)
        self._loaders: dict[int, TrainLoader] = {}

    def read(self, phase: int, step: int) -> tuple[Iterator[Batch], int]:
        """Return the micro-batches of kept step `step` (0-based over the run), and how many they are."""
        loader = self._loader(phase)
        loader.seek(step - sum(p.steps for p in self.phases[:phase]))
        return loader.read(), loader.micro_batches

    def read_ahead(self) -> None:
        """Begin to move the next batch to the device, where that takes time."""
        for loader in self._loaders.values():
            loader.read_ahead()

    def _loader(self, phase: int) -> TrainLoader:
        if phase not in self._loaders:
            stream = train_stream(self._recipe, phase, self._seed, self._world.size)
            loader = TrainLoader(
                stream,
                phase,
                self._workers,
                self._device,
                self._world.rank,
                notice=self._notice,
                waiting=self._waiting,
                placing=self._placing,
            )
            self._loaders = {phase: loader}
        return self._loaders[phase]
