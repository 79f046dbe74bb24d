"""ResNet-50 on images, as [Goyal2017]_ trains it and as AutoLRS's first claim has it.

.. [Goyal2017] Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, arXiv 1706.02677.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from autolrs_cli.contracts import (
    Batch,
    Description,
    EvalSplit,
    EvalStream,
    Example,
    Metric,
    ParameterGroup,
    Phase,
    Preparable,
    Report,
    TrainStream,
    Verifiable,
)
from autolrs_cli.values import PositiveInt, checked
from autolrs_recipes.checks import divides, divides_among
from autolrs_recipes.data.images.preprocessing import Preprocessed, Preprocessing
from autolrs_recipes.data.images.streams import HeldOutImages, ImageData, TrainImages
from autolrs_recipes.models.hidden import hidden_weights, layers
from autolrs_recipes.models.resnet50 import ImageModel

_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_TO_GET_THE_PAPERS = (
    "scale=paper data=image_folder data.root=PATH, with ImageNet-1k at PATH in ImageNet layout (train/, val/)"
)

# BatchNorm cannot normalise a single image.
_Normalised = Annotated[int, Field(strict=True, ge=2)]


@checked
class ResNet50:
    """Classify images; judged by top-1 accuracy.

    Args:
        name: what the run directory calls it.
        model: builds the network.
        data: the three slices of images.
        global_batch: images per optimizer step, over all ranks.
        micro_batch: images per forward pass, which is also what BatchNorm sees; divides `global_batch`;
            None: all that a process has of a step.
        eval_batch: held-out images per forward pass.
    """

    metric = Metric("accuracy", "max")
    example_unit = "images"
    varying: ClassVar[Mapping[str, tuple[int, ...]]] = {}

    def __init__(
        self,
        *,
        name: str,
        model: ImageModel,
        data: ImageData,
        global_batch: _Normalised,
        micro_batch: _Normalised | None,
        eval_batch: PositiveInt,
    ) -> None:
        self.name = name
        self.architecture = model
        self.data = data
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.eval_batch = eval_batch
        self._recalled: Preprocessing | None = None

    def describe(self) -> Description:
        """Say what is trained, in words."""
        return Description(
            data=self.data.describe(),
            model=self.architecture.describe(),
            to_get_the_papers=_TO_GET_THE_PAPERS,
            sizes=self.data.sizes,
        )

    def problems(self) -> list[str]:
        """Return every problem with settings and data."""
        return [*divides(self.global_batch, self._micro_batch(1)), *self.data.problems()]

    def sharing_problems(self, world_size: int) -> list[str]:
        """Return a problem unless each process gets whole micro-batches of a step, of two images or more."""
        if self.micro_batch is None and self.global_batch == world_size:
            return [
                f"Each process must get two images of a step or more, but got runtime.processes={world_size} and "
                f"recipe.global_batch={self.global_batch}. Set recipe.global_batch or runtime.processes."
            ]
        return divides_among(self.global_batch, self.micro_batch, world_size)

    def _micro_batch(self, world_size: int) -> int:
        return self.micro_batch or self.global_batch // world_size

    def prepare(self, report: Report) -> None:
        """Read what the fingerprint covers, if the data can say how that goes."""
        if isinstance(self.data, Preparable):
            self.data.prepare(report)

    def verify(self, report: Report) -> str:
        """Look at all of the data; say what was looked at."""
        if isinstance(self.data, Verifiable):
            return self.data.verify(report)
        return "the data are always looked at in full"

    def fingerprint(self) -> str:
        """Hash of the data's content and split."""
        return self.data.fingerprint()

    def phases(self, max_steps: int) -> tuple[Phase, ...]:
        """Return the one phase of the run."""
        return (Phase("train", max_steps, self.global_batch),)

    def model(self) -> nn.Module:
        """Build the network with fresh weights, in the memory format that convolutions are fastest in."""
        model = self.architecture.build(len(self._preprocessing().classes))
        return model.to(memory_format=torch.channels_last)

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        """Keep weight decay off BatchNorm's gamma and beta, and off nothing else ([Goyal2017]_ Sec. 5.1)."""
        norm = [p for m in model.modules() if isinstance(m, _BATCH_NORM) for p in m.parameters(recurse=False)]
        kept = {id(p) for p in norm}
        weights = [p for p in model.parameters() if id(p) not in kept]
        first, *_, last = layers(model)
        return [
            ParameterGroup("weights", weights, hidden=hidden_weights(model, outer=(first, last))),
            ParameterGroup("batch_norm", norm, decay=False),
        ]

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> TrainStream:
        """Open the training stream; `seed` fixes order and augmentation, never the split."""
        return TrainImages(
            self.data.reader("train"),
            seed=seed,
            phase=phase,
            global_batch=self.global_batch,
            micro_batch=self._micro_batch(world_size),
            world_size=world_size,
        )

    def eval_stream(self, split: EvalSplit) -> EvalStream:
        """Open a held-out slice."""
        return HeldOutImages(self.data.reader(split), self.eval_batch)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return the summed cross-entropy of a micro-batch and its number of images."""
        return self.loss_sum(model, batch), self.terms(batch)

    def loss_sum(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the summed cross-entropy of a micro-batch."""
        return F.cross_entropy(_logits(model, batch), batch["labels"], reduction="sum")

    def terms(self, batch: Batch) -> float:
        """Count the images of a micro-batch."""
        return float(len(batch["labels"]))

    def bucketed(self, batch: Batch) -> Batch:
        """Return the batch: all are of one shape."""
        return batch

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        """Return sums of loss and of right answers (first guess; among five) over a held-out batch."""
        logits, labels = _logits(model, batch), batch["labels"]
        sums = {
            "loss": F.cross_entropy(logits, labels, reduction="sum"),
            "accuracy": (logits.argmax(1) == labels).sum(),
        }
        if logits.shape[1] > 5:
            sums["accuracy_top5"] = (logits.topk(5, dim=1).indices == labels[:, None]).sum()
        return {name: (value, float(len(labels))) for name, value in sums.items()}

    def examples(self, batch: Batch) -> int:
        """Count the images of a micro-batch."""
        return len(batch["labels"])

    def legend(self) -> str:
        """Return nothing: below each image stands the name of its class."""
        return ""

    def show(self, batch: Batch) -> list[Example]:
        """Return the images of a micro-batch, their normalisation undone, and the names of their classes."""
        preprocessing = self._preprocessing()
        pixels = preprocessing.pixels(batch["images"])
        return [
            Example((preprocessing.classes[label],), image)
            for label, image in zip(batch["labels"].tolist(), pixels, strict=True)
        ]

    def keep(self, folder: Path) -> None:
        """Write how images are made ready, and the names of their classes."""
        self._preprocessing().write(folder)

    def recall(self, folder: Path) -> None:
        """Read that instead of asking the data.

        Raises:
            OSError, ValueError, KeyError, TypeError: if it is not there, or damaged.
        """
        self._recalled = Preprocessing.read(folder)

    def _preprocessing(self) -> Preprocessing:
        if self._recalled is not None:
            return self._recalled
        if isinstance(self.data, Preprocessed):
            return self.data.preprocessing()
        return Preprocessing(tuple(map(str, range(self.data.num_classes))))

    def export(self, model: nn.Module, folder: Path) -> str:
        """Write a state dict with torchvision's names, and how images are made ready; return code that loads both."""
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        path = folder / "model.safetensors"
        save_file(state, path)
        preprocessing = self._preprocessing()
        building = self.architecture.code(len(preprocessing.classes))
        loading = f"model.load_state_dict(load_file({str(path)!r}))"
        using = preprocessing.code(preprocessing.write(folder))
        return f"from safetensors.torch import load_file\n{building}\n{loading}{using}"


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    """Return logits [B, num_classes] in float32, also under autocast: a bf16 loss has 3 digits."""
    images = batch["images"].contiguous(memory_format=torch.channels_last)
    logits: Tensor = model(images)
    return logits.float()
