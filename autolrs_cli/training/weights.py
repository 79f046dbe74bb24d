"""Weights on disk, in a format that loads without running code; and the mean of the last few of them."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError, UnwritableError


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the model's state dict to `path`, whole or not at all.

    Tensors go out contiguous, since safetensors knows no other memory format, and tied ones once: under the
    name that the state dict gives first.

    Raises:
        UnwritableError: if it cannot be written.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in _untied(model.state_dict()).items()
    }
    aside = path.with_name(f"{path.name}.part")
    try:
        save_file(tensors, aside)
        publish(aside, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise UnwritableError(
            f"The run directory must take the weights, but {path} cannot be written: {error}. Free some space or mend "
            "the folder's permissions."
        ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy weights written by `save_weights` into `model`, whose memory format and ties stay.

    Raises:
        ConfigError: if the file cannot be read, or is not of this model.
    """
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    own = _untied(model.state_dict())
    if {name: t.shape for name, t in own.items()} != {name: t.shape for name, t in stored.items()}:
        raise ConfigError(
            f"The weights must be those of the configured model, but {path} holds other names or shapes. "
            "Use the config.yaml that was written with them."
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(stored[name])


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of what `save_weights` writes of `model`."""
    return {name: tuple(tensor.shape) for name, tensor in _untied(model.state_dict()).items()}


def stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the weights in a file, without reading them.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"The weights must be a whole safetensors file, but {path} is not: {error}. Train again."
    )


class LastCheckpoints:
    """The weights at the last few checkpoints of the kept steps, for recipes that publish their mean.

    They lie on disk: for a big model several copies would not fit beside the training state, and a resumed run
    finds them again.

    Args:
        folder: where they lie; made at the first `keep`.
        count: how many are kept.
        every_steps: kept steps between two.
    """

    def __init__(self, folder: Path, count: int, every_steps: int) -> None:
        self.folder = folder
        self.count = count
        self.every_steps = every_steps

    def keep(self, model: nn.Module, step: int) -> None:
        """Write the weights after kept step `step` (1-based count)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_weights(model, self.path(step))

    def steps(self) -> list[int]:
        """Return the kept steps of the files, ascending."""
        return sorted(
            int(path.stem.removeprefix("weights-")) for path in self.folder.glob("weights-*.safetensors")
        )

    def prune(self, resumable_step: int) -> None:
        """Drop the files that no evaluation can ask for any more, were the run resumed at `resumable_step`."""
        steps = self.steps()
        old = [step for step in steps if step <= resumable_step]
        for step in old[: -self.count]:
            self.path(step).unlink()

    def drop_after(self, step: int) -> None:
        """Remove the files after `step`, which a resumed run will write again."""
        for later in self.steps():
            if later > step:
                self.path(later).unlink()

    def path(self, step: int) -> Path:
        """Return where the weights after kept step `step` lie."""
        return self.folder / f"weights-{step:09}.safetensors"

    def mean(self, model: nn.Module, step: int, *, last: bool) -> nn.Module:
        """Return a copy of `model` with the mean of the last weights; buffers are those of the model as it is.

        Before the first checkpoint, that is the model as it is.

        Args:
            model: as it is after `step`.
            step: kept steps so far.
            last: whether the run ends there, which is a checkpoint too.

        Raises:
            ConfigError: if files of those checkpoints are missing or damaged.
        """
        averaged = copy.deepcopy(model)
        own = _untied(dict(averaged.named_parameters()))
        wanted = self._wanted(step, last=last)
        try:
            with torch.no_grad():
                for place, each in enumerate(wanted):
                    stored = load_file(self.path(each))
                    for name, parameter in own.items():
                        value = stored[name].to(parameter) / len(wanted)
                        parameter.copy_(parameter + value if place else value)
        except (OSError, KeyError, SafetensorError) as error:
            raise ConfigError(
                f"The weights of the last checkpoints (steps {', '.join(map(str, wanted))}) must lie in {self.folder} "
                f"to be averaged, but: {error}. Restore them."
            ) from error
        return averaged

    def _wanted(self, step: int, *, last: bool) -> list[int]:
        steps = list(range(self.every_steps, step + 1, self.every_steps))
        if last and step % self.every_steps:
            steps.append(step)
        return steps[-self.count :]


def _untied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without those that share all their memory with an earlier one.

    Not safetensors' `save_model` and `load_model`: they refuse a model whose parameters are slices of one buffer, as
    cuDNN's recurrent layers and some optimizers lay them.
    """
    seen: set[tuple[int, torch.Size]] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        storage = (tensor.data_ptr(), tensor.shape)
        if tensor.numel() and storage in seen:
            continue
        seen.add(storage)
        kept[name] = tensor
    return kept
