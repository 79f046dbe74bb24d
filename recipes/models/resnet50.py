"""What an image recipe asks of its model, and the published one: torchvision's ResNet-50."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from torch import nn
from torchvision.models import resnet50

from autolrs_cli.values import Fraction, checked

Stem: TypeAlias = Literal["imagenet", "cifar"]
_STEM_CHANNELS = 64
_CIFAR_CODE = f"""
from torch import nn
model.conv1 = nn.Conv2d(3, {_STEM_CHANNELS}, kernel_size=3, padding=1, bias=False)
model.maxpool = nn.Identity()"""


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
        stem: "imagenet": a 7x7 convolution and a pooling, which leave a quarter of the edge; "cifar": one 3x3
            convolution, which keeps all of it, for images of some 32 pixels ([He2016]_ Sec. 4.2).

    .. [He2016] He et al., Deep Residual Learning for Image Recognition, arXiv 1512.03385.
    """

    zero_init_residual: bool
    classifier_std: Fraction
    stem: Stem = "imagenet"  # runs made before there was another have no such setting

    def describe(self) -> str:
        """Say what the model is, in words."""
        return "ResNet-50 v1.5 (torchvision)" + (", 3x3 stem" if self.stem == "cifar" else "")

    def problems(self) -> list[str]:
        """Return no problem: no rule goes across the settings."""
        return []

    def build(self, num_classes: int) -> nn.Module:
        """Build it with fresh weights."""
        model: nn.Module = resnet50(
            weights=None, num_classes=num_classes, zero_init_residual=self.zero_init_residual
        )
        if self.stem == "cifar":
            model.conv1 = nn.Conv2d(3, _STEM_CHANNELS, kernel_size=3, padding=1, bias=False)
            model.maxpool = nn.Identity()
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(model.get_parameter("fc.weight"), std=self.classifier_std)
        return model

    def code(self, num_classes: int) -> str:
        """Return Python code that builds it with torchvision alone."""
        code = f"from torchvision.models import resnet50\nmodel = resnet50(num_classes={num_classes})"
        return code + (_CIFAR_CODE if self.stem == "cifar" else "")
