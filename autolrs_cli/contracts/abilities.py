"""What a recipe may be able to do beyond training, each a Protocol of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from autolrs_cli.contracts.batches import Batch, TrainStream

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn


Report: TypeAlias = Callable[[str, int, "int | None"], None]
"""Told how a long preparation goes: what is being done, how much of it is, and of how much (None: unknown)."""


@runtime_checkable
class Divisible(Protocol):
    """A recipe whose steps several processes can share: a run of it may have `runtime.processes`."""

    def sharing_problems(self, world_size: int) -> list[str]:
        """Return why a step cannot be cut into parts for `world_size` processes, and the way out; empty: it can."""

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> TrainStream:
        """Open the training stream of a phase, each step of which is shared out over `position.rank`.

        A batch may be empty: its number of examples then is 0.
        """


@runtime_checkable
class Compilable(Protocol):
    """A recipe whose loss is one graph of tensors: `loss` is `loss_sum` with `terms`.

    Other recipes can be compiled too (`runtime.compile`), with breaks wherever their `loss` leaves the graph.
    """

    varying: Mapping[str, tuple[int, ...]]
    """Which dimensions of which tensors of a batch differ from batch to batch: they are compiled for any size."""

    def loss_sum(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the summed loss of a micro-batch; nothing of what the tensors hold may be asked for in Python."""

    def terms(self, batch: Batch) -> float:
        """Return the number of terms in it; `batch` is on the CPU."""

    def bucketed(self, batch: Batch) -> Batch:
        """Return a batch on the CPU of the same loss, terms and examples, padded to one of few shapes.

        Under `runtime.compile=reduce-overhead` each shape is recorded once.
        """


@runtime_checkable
class Preparable(Protocol):
    """A recipe whose data must be made ready once: tokenized, for example."""

    def prepare(self, report: Report) -> None:
        """Make what the streams read, unless it was made before; called before any stream is opened.

        Raises:
            ConfigError: if the data cannot be used; each problem names its key and the way out.
        """


@runtime_checkable
class Verifiable(Protocol):
    """A recipe whose data are looked at in part when a run starts, and can be looked at in full."""

    def verify(self, report: Report) -> str:
        """Read all of the data, make prepared data that are damaged again, and say in words what was looked at.

        Raises:
            ConfigError: if something is wrong with the data.
        """


@dataclass(frozen=True)
class Example:
    """One training example, for a person to look at.

    Args:
        lines: what is known of it, in words; for a picture, what stands below it.
        pixels: uint8 [H, W, 3]; None: the example is text.
    """

    lines: tuple[str, ...]
    pixels: NDArray[np.uint8] | None = None


@runtime_checkable
class Showable(Protocol):
    """A recipe that can show what it trains on."""

    def legend(self) -> str:
        """Say how the lines of `show` are to be read; empty: they speak for themselves."""

    def show(self, batch: Batch) -> list[Example]:
        """Return the examples of one micro-batch, in their order, as they are handed to `loss`."""


@dataclass(frozen=True)
class FullMeasure:
    """What a full evaluation found."""

    metrics: dict[str, float]
    notes: dict[str, str] = field(default_factory=dict)
    """How a metric was computed, where its name does not say it: name -> description."""


@runtime_checkable
class FullyMeasured(Protocol):
    """A recipe judged by more than a pass over held-out batches: by decoding, for example.

    It is measured with the mean of the weights of the last checkpoints, as such recipes publish it.
    """

    averaged_checkpoints: int
    """How many of the last checkpoints are averaged; 1: the weights as they are."""
    checkpoint_every_steps: int
    """Kept steps between two of those checkpoints."""

    def measure_fully(self, model: nn.Module, device: torch.device) -> FullMeasure:
        """Measure the slice that decides targets; `model` is in eval mode, without gradients."""


@runtime_checkable
class Portable(Protocol):
    """A recipe whose model can be built and exported where its data are not."""

    def keep(self, folder: Path) -> None:
        """Write what `model` and `export` need to know of the data into the empty `folder`, a part of the run."""

    def recall(self, folder: Path) -> None:
        """Read that; from now on `model` and `export` need no data.

        Raises:
            OSError, ValueError: if it cannot be read.
        """


@runtime_checkable
class Exportable(Protocol):
    """A recipe whose trained model other libraries can load."""

    def export(self, model: nn.Module, folder: Path) -> str:
        """Write `model` (on the CPU) into the empty `folder`; return Python code that loads it from there."""
