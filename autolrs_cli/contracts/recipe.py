"""What is trained: the recipe, and what it is described by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from autolrs_cli.contracts.batches import Batch, EvalStream, TrainStream

if TYPE_CHECKING:
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


Direction = Literal["min", "max"]
EvalSplit = Literal["choose", "target"]
"""`choose` picks LRs; `target` decides whether a target was reached. Disjoint, and never the training data."""


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
