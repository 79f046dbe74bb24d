"""What the parts of the house promise each other: Protocols and small frozen dataclasses.

A *step* is one optimizer update. An LR is the base LR; each parameter group trains at `base LR * lr_ratio`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import torch
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


@dataclass(frozen=True)
class Trial:
    """One question of the search: train some steps at this LR and say how it went."""

    index: int
    """0-based within the stage."""
    lr: float


@dataclass(frozen=True)
class Curve:
    """The losses of one trial.

    Args:
        steps: steps since the trial's start at which a value was taken, 1-based and ascending.
        values: mean loss at each of those steps, same length.
        kind: which loss it is.
        weights: the weights it was measured with.
    """

    steps: Sequence[int]
    values: Sequence[float]
    kind: LossKind
    weights: WeightsKind = "raw"


@dataclass(frozen=True)
class Failure:
    """A trial that diverged. It is a state, never a number told to the surrogate."""

    reason: Literal["non_finite_loss", "loss_above_untrained"]
    step: int
    """Step since the trial's start at which it was found, 1-based."""
    detail: str
    """The measured numbers, for a person."""


@dataclass(frozen=True)
class Forecast:
    """The loss expected at the end of a stage, from the losses of a trial."""

    mean: float
    std: float | None = None
    """None where the forecast has no uncertainty of its own (the published one)."""
    flags: tuple[str, ...] = ()
    """Why not to trust it: `negative`, `undetermined`, `few_points`, `overflow`."""


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


class Schedule(Protocol):
    """A pure function from the 0-based step to the LR of that step."""

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


OptimizerFactory: TypeAlias = Any
"""Callable[[list[ParameterGroup]], torch.optim.Optimizer]; a partial from the `optimizer` config group."""
