"""A miniature of ResNet-50 from the same blocks: 2,000 steps take half a minute on one thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import nn
from torchvision.models.resnet import Bottleneck

from autolrs_cli.values import Fraction, PositiveInt, checked


@checked
@dataclass(frozen=True, kw_only=True)
class ThinResNet:
    """Bottleneck stages with BatchNorm; each stage but the first halves the resolution, as in ResNet-50.

    Args:
        widths: inner width of the bottlenecks of each stage; a stage ends in 4 times as many channels.
        blocks_per_stage: bottlenecks in each stage.
        zero_init_residual: start the last BatchNorm gamma of each block at 0 ([Goyal2017]_ Sec. 5.1).
        classifier_std: standard deviation of the last layer's first weights.
    """

    widths: Annotated[Sequence[PositiveInt], Field(min_length=1)]
    blocks_per_stage: PositiveInt
    zero_init_residual: bool
    classifier_std: Fraction

    def describe(self) -> str:
        """Say what the model is, in words."""
        blocks = self.blocks_per_stage * len(self.widths)
        return (
            f"thin stand-in for ResNet-50 ({blocks} of its blocks, widths {', '.join(map(str, self.widths))})"
        )

    def problems(self) -> list[str]:
        """Return no problem: no rule goes across the settings."""
        return []

    def build(self, num_classes: int) -> nn.Module:
        """Build it with fresh weights."""
        channels = (
            self.widths[0] * Bottleneck.expansion
        )  # as the first stage ends, so its first shortcut is free
        layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem(channels))
        for i, width in enumerate(self.widths):
            layers[f"layer{i + 1}"] = _stage(
                channels, width, self.blocks_per_stage, stride=1 if i == 0 else 2
            )
            channels = width * Bottleneck.expansion
        layers["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        layers["fc"] = nn.Linear(channels, num_classes)
        model = nn.Sequential(layers)
        self._initialise(model)
        return model

    def code(self, num_classes: int) -> str:
        """Return Python code that builds it; torchvision has no such model, so it needs this package."""
        return (
            "from autolrs_recipes.models.thin_resnet import ThinResNet\n"
            f"model = ThinResNet(widths={list(self.widths)}, blocks_per_stage={self.blocks_per_stage}, "
            f"zero_init_residual={self.zero_init_residual}, classifier_std={self.classifier_std})"
            f".build(num_classes={num_classes})"
        )

    def _initialise(self, model: nn.Module) -> None:
        """Draw the weights as torchvision's ResNet does, but for the classifier."""
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck) and self.zero_init_residual:
                nn.init.zeros_(module.bn3.weight)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=self.classifier_std)


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, channels, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    out = width * Bottleneck.expansion
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(
            nn.Conv2d(channels, out, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(out)
        )
    first = Bottleneck(channels, width, stride, shortcut)
    return nn.Sequential(first, *(Bottleneck(out, width) for _ in range(blocks - 1)))
