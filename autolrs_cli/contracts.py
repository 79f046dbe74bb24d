"""What the parts of the house promise each other: Protocols and small frozen dataclasses.

A *step* is one optimizer update. An LR is the base LR; each parameter group trains at `base LR * lr_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class FileSetting:
    """Marks a setting that names files: `root: Annotated[str | None, FileSetting()]`.

    It is made absolute when a run starts, so that the run can go on from any folder; and when a run goes on, it may be
    another one, if the data there have the same fingerprint.
    """

    or_name: bool = False
    """Whether it may also be a name on the hub, which stays as it is unless there is such a file."""
    pattern: bool = False
    """Whether `*`, `?` and `[...]` stand for parts of names."""
    words: tuple[str, ...] = ()
    """Values with a meaning of their own, that are never files."""


LossKind = Literal["train", "choose"]
"""`train`: the free training loss; `choose`: the loss on the held-out slice that picks LRs."""
EvalSplit = Literal["choose", "target"]
"""`choose` picks LRs; `target` decides whether a target was reached. Disjoint, and never the training data."""
WeightsKind = Literal["raw", "averaged"]
Direction = Literal["min", "max"]
Batch: TypeAlias = "dict[str, Tensor]"
Report: TypeAlias = Callable[[str, int, "int | None"], None]
"""Told how a long preparation goes: what is being done, how much of it is, and of how much (None: unknown)."""


class PlacedBatch(dict[str, "Tensor"]):
    """A batch on another device than the CPU, which remembers what it was copied from.

    Args:
        placed: the tensors on their device.
        host: the same on the CPU.
    """

    def __init__(self, placed: Batch, host: Batch) -> None:
        super().__init__(placed)
        self.host = host


def kept(batch: Batch) -> Batch:
    """Return a batch that stays for long: what it was copied from does not stay pinned, which would lock memory."""
    if not isinstance(batch, PlacedBatch):
        return batch
    return PlacedBatch(batch, {name: tensor.clone() for name, tensor in batch.host.items()})


def on_host(batch: Batch) -> Batch:
    """Return the batch on the CPU, where it can be counted without waiting for the device."""
    return batch.host if isinstance(batch, PlacedBatch) else batch


@dataclass(frozen=True)
class Segment:
    """Consecutive kept steps of one phase that follow a rule: a warm-up, a schedule, or one searched stage."""

    kind: Literal["warm_up", "schedule", "stage"]
    phase: int
    first_step: int
    """Kept step of the run, 0-based."""
    steps: int
    stage: int | None = None
    """0-based over the whole run; this and what follows are of searched stages alone."""
    trial_steps: int = 0
    """Of the longest trial that is planned; kept steps are judged in windows of this length."""
    objective: LossKind = "train"
    num_trials: int = 0
    """How many are planned at most."""

    @property
    def end(self) -> int:
        """The kept step after the last one."""
        return self.first_step + self.steps


@dataclass(frozen=True)
class Position:
    """Where in the training data: batch content is a function of the seed and this, and of nothing else."""

    phase: int
    step: int
    """Optimizer step counted from the start of the phase, 0-based."""
    micro: int
    """Micro-batch within the step, 0-based."""
    rank: int = 0


class TrainStream(Protocol):
    """Endless training batches, addressed by position; must be picklable for loader workers.

    Reading must neither draw from nor change the process's global random state: the same stream is read by
    zero or more workers, and the model's dropout draws from that state.
    """

    micro_batches: int
    """Micro-batches per optimizer step on this rank."""

    def batch(self, position: Position) -> Batch:
        """Return one micro-batch of CPU tensors."""


class EvalStream(Protocol):
    """A finite, fixed sequence of held-out batches."""

    num_batches: int

    def batch(self, index: int) -> Batch:
        """Return batch `index`, 0 <= index < num_batches, as CPU tensors."""


@runtime_checkable
class Noticing(Protocol):
    """A stream, or what it reads with, that has something to say: an image that was replaced by another."""

    def notices(self) -> list[str]:
        """Return what was noticed since the last call, in words: the same words for the same thing."""


@dataclass(frozen=True)
class Phase:
    """A stretch of the run with its own stream and batch size."""

    name: str
    steps: int
    global_batch: int
    """Examples (or tokens) per optimizer step, over all ranks and micro-batches."""


@dataclass(frozen=True)
class Metric:
    """The metric a recipe is judged by, beside the loss."""

    name: str
    direction: Direction
    unit: str = ""


@dataclass(frozen=True)
class Target:
    """A quality fixed beforehand: the run that reaches it in fewer steps is the faster one."""

    metric: str
    value: float
    direction: Direction


@dataclass
class ParameterGroup:
    """Parameters that share hyper-parameters; the search keeps `lr_ratio` between groups."""

    name: str
    parameters: list[nn.Parameter]
    decay: bool = True
    """Whether the optimizer's weight decay applies to this group."""
    lr_ratio: float = 1.0
    hidden: list[nn.Parameter] = field(default_factory=list)
    """Those of them that are weight matrices, or convolution kernels, of hidden layers: not of embeddings, nor of the
    layers that data enter or predictions leave by. For optimizers that treat them in their own way."""


@dataclass(frozen=True)
class Description:
    """What is trained, in words: shown in the first line of every run."""

    data: str
    """For example: "handwritten digits (scikit-learn), 1,797 images, resized to 32 px"."""
    model: str
    to_get_the_papers: str
    """What to type, and what to have, for the published experiment."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Examples per slice: train, choose, target."""


class Recipe(Protocol):
    """What is trained. It knows nothing of the search, the loop, Hydra or screens."""

    name: str
    metric: Metric
    example_unit: str
    """What throughput counts: "images", "tokens"."""

    def describe(self) -> Description:
        """Say what is trained, in words."""

    def problems(self) -> list[str]:
        """Check settings and data; return every problem, each naming its key and the way out."""

    def fingerprint(self) -> str:
        """Hash of the data's content and split: equal fingerprints mean comparable runs."""

    def phases(self, max_steps: int) -> tuple[Phase, ...]:
        """Cut `max_steps` optimizer steps into phases."""

    def model(self) -> nn.Module:
        """Build the model with fresh weights drawn from torch's global random state."""

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        """Partition the trainable parameters of `model`."""

    def train_stream(self, phase: int, seed: int) -> TrainStream:
        """Open the training stream of a phase; `seed` fixes order and augmentation, never the split."""

    def eval_stream(self, split: EvalSplit) -> EvalStream:
        """Open a held-out slice."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return the summed loss of one micro-batch (scalar tensor) and its weight (number of terms)."""

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        """Return name -> (sum (scalar tensor), weight) for one held-out batch: "loss", the metric, and more."""

    def examples(self, batch: Batch) -> int:
        """Count the examples (or tokens) in one micro-batch, in `example_unit`."""


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


@dataclass(frozen=True)
class Cycle:
    """Which settings of a cyclic schedule its cycles are made of, by name."""

    period: str
    """In steps."""
    growth: str | None = None
    """How many times longer each cycle is than the one before; None: all are equally long."""
    warmup: str | None = None
    """Steps before the first cycle; None: there are none."""
    parts: int = 1
    """Periods in a cycle."""
    continuous: bool = False
    """Whether the LR ends a cycle where the next one begins."""


@dataclass(frozen=True)
class FilledCycles:
    """A whole number of cycles fills the run: what stays the same when it is made shorter or longer."""

    key: str
    """The schedule's setting that holds the period, in steps."""
    cycles: int
    growth: int = 1
    """How many times longer each cycle is than the one before."""
    parts: int = 1
    """Periods in a cycle."""
    warmup_steps: int = 0
    continuous: bool = False
    """Whether the LR ends a cycle where the next begins: the nearest whole period is taken, else the next longer."""

    def period(self, steps: int) -> int:
        """Return the period, in steps, with which the cycles fill a run of `steps`."""
        periods: int = self.parts * sum(self.growth**cycle for cycle in range(self.cycles))
        exact = (steps - self.warmup_steps) / periods
        return max(1, round(exact) if self.continuous else math.ceil(exact))


@dataclass(frozen=True)
class RunLength:
    """What a run's length means to its schedule.

    Unless it decays or its cycles fill the run, a shorter run is the beginning of a longer one.
    """

    decays: bool
    """Whether the LR decays over the run, so that each length of it is a run of its own."""
    cycles: FilledCycles | None
    """The cycles that fill the run, if they do: then too each length is a run of its own."""


class Schedule(Protocol):
    """A pure function from the 0-based step to the LR of that step.

    Two class attributes say what the run's length means to it. One that has neither is taken to train a shorter run as
    the beginning of a longer one.

    - `decays: ClassVar[bool]`: whether the LR decays over the run.
    - `cycle: ClassVar[Cycle]`: what its cycles are made of, if it has cycles.
    """

    def lr(self, step: int) -> float:
        """Return the base LR used by optimizer step `step`."""

    def problems(self, at: str) -> list[str]:
        """Check the settings; return every problem, each naming its key under the node `at`, and the way out."""


@runtime_checkable
class AdaptiveSchedule(Schedule, Protocol):
    """A schedule that also depends on how the run goes."""

    def observe(self, step: int, loss: float) -> None:
        """Take in the loss of the slice that chooses LRs after `step` kept steps."""

    def state_dict(self) -> dict[str, Any]:
        """Return what was observed, as JSON."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


@runtime_checkable
class SwitchingOptimizer(Protocol):
    """An optimizer that is judged by other weights than those it trains: schedule-free ones, for example.

    It is a `torch.optim.Optimizer` that computes either from the other and puts them into the parameters. It is built
    in either mode, makes steps and is saved in training mode, and is switched whenever weights are measured or written.

    With an attribute `batchnorm_batches: int`, BatchNorm's statistics are then estimated anew, on so many of the run's
    first training micro-batches; without it they stay those of the weights that are trained.
    """

    def train(self) -> None:
        """Put the weights that are trained into the parameters, if they are not there."""

    def eval(self) -> None:
        """Put the weights that it is judged by into the parameters, if they are not there."""


OptimizerFactory: TypeAlias = Any
"""Callable[[list[ParameterGroup]], torch.optim.Optimizer], from the `optimizer` config group: a partial of a function,
or made from a class of torch's kind, which takes torch's parameter groups. Each group of the optimizer keeps its
`lr_ratio`. It raises an `UnfitGroupsError` where it cannot train the groups of a recipe. An optimizer with an attribute
`estimates_lr: bool` that is true takes the schedule's LR as a factor of its own: no LR is searched for it."""
