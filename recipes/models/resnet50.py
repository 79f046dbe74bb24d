"""What an image recipe asks of its model, and the published one: torchvision's ResNet-50."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn
from torchvision.models import resnet50

from autolrs_cli.values import Fraction, checked


class ImageModel(Protocol):
    """Builds a classifier: float32 images [B, 3, H, W] -> logits [B, num_classes]."""

    def describe(self) -> str:
        """Say what the model is, in words."""

    def problems(self) -> list[str]:
        """Return every problem with the settings, each naming its key and the way out."""

    def build(self, num_classes: int) -> nn.Module:
        """Build it with fresh weights drawn from torch's global random state."""

    def code(self, num_classes: int) -> str:
        """Return Python code that builds it as `model`, for people who have only its weights."""


@checked
@dataclass(frozen=True, kw_only=True)
class TorchvisionResNet50:
    """ResNet-50 v1.5 (the stride lies on the 3x3 convolutions), 25.6 M parameters at 1,000 classes.

    Args:
        zero_init_residual: start the last BatchNorm gamma of each block at 0 ([Goyal2017]_ Sec. 5.1).
        classifier_std: standard deviation of the last layer's first weights.
    """

    zero_init_residual: bool
    classifier_std: Fraction

    def describe(self) -> str:
        """Say what the model is, in words."""
        return "ResNet-50 v1.5 (torchvision)"

    def problems(self) -> list[str]:
        """Return no problem: no rule goes across the settings."""
        return []

    def build(self, num_classes: int) -> nn.Module:
        """Build it with fresh weights."""
        model: nn.Module = resnet50(
            weights=None, num_classes=num_classes, zero_init_residual=self.zero_init_residual
        )
        nn.init.normal_(model.get_parameter("fc.weight"), std=self.classifier_std)
        return model

    def code(self, num_classes: int) -> str:
        """Return Python code that builds it with torchvision alone."""
        return f"from torchvision.models import resnet50\nmodel = resnet50(num_classes={num_classes})"
