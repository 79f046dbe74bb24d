"""What the builders of optimizers share."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Annotated, Any

import torch
from pydantic import Field

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError

Beta = Annotated[float, Field(strict=True, ge=0, le=0.999999)]
Betas = Annotated[Sequence[Beta], Field(min_length=2, max_length=2)]
Epsilon = Annotated[float, Field(strict=True, ge=1e-30, le=1)]
GradientNorm = Annotated[float, Field(strict=True, ge=1e-30, le=1e30)]


def torch_group(group: ParameterGroup, weight_decay: float) -> dict[str, Any]:
    """Return torch's parameter group, whose LR is yet to be set."""
    return {
        "params": group.parameters,
        "name": group.name,
        "lr_ratio": group.lr_ratio,
        "weight_decay": weight_decay if group.decay else 0.0,
    }


def can_fuse(groups: list[ParameterGroup]) -> bool:
    """Tell whether one kernel can do the whole update: on a CPU a third faster than `foreach` (measured)."""
    parameters = [p for group in groups for p in group.parameters]
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)


def clip_gradients(
    optimizer: torch.optim.Optimizer, groups: list[ParameterGroup], max_norm: float | None
) -> None:
    """Scale the gradients down to `max_norm` over all parameters before each step; None: never."""
    if max_norm is None:
        return
    parameters = [p for group in groups for p in group.parameters]

    optimizer.register_step_pre_hook(lambda *_: _clip(parameters, max_norm))


@torch.no_grad()
def _clip(parameters: list[torch.nn.Parameter], max_norm: float) -> None:
    """Do what `clip_grad_norm_` does, with its numbers, where it need not look for several devices and dtypes."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))


def optional_library(name: str, least: str, needed_by: str) -> ModuleType:
    """Import a library that the extra `rivals` installs.

    Args:
        name: of the library, as it is imported and as it is installed.
        least: the oldest version that will do, as in "1.4".
        needed_by: the choice that needs it, as a person types it.

    Raises:
        ConfigError: if it is not there, cannot be imported, or is too old.
    """
    try:
        library = importlib.import_module(name)
        found = version(name)
    except (ImportError, PackageNotFoundError) as error:
        trouble = f"it cannot be imported ({error})"
    else:
        if _numbers(found) >= _numbers(least):
            return library
        trouble = f"this is version {found}"
    raise ConfigError(
        f"`{needed_by}` needs the library {name} {least} or later, but {trouble}. "
        "Type: pip install 'autolrs[rivals]', or choose another optimizer."
    )


def _numbers(written: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", written)[:2])
