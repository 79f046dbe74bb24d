"""Resume points on disk: complete or absent, checked when they are written and when they are read.

A checkpoint is a folder of two files and their checksums. Tensors lie in safetensors and everything else in JSON, so
that loading one never runs code from it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError, DamagedRecordError, UnwritableError

FORMAT_VERSION = 3
KEPT = 2
_TENSORS, _VALUES, _MANIFEST = "tensors.safetensors", "values.json", "manifest.json"
_REPLACED = ".replaced"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on."""

    tensors: dict[str, Tensor]
    """Name -> tensor, on the CPU, contiguous."""
    values: dict[str, Any]
    """Plain JSON."""


class Checkpoints:
    """The resume points of one run, the last two of which are kept.

    Args:
        folder: where they lie; made at the first `write`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """Return the kept steps at which there is a checkpoint, ascending; half-written ones do not count."""
        found = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.glob("step-*"))
        return sorted(int(match[1]) for match in found if match)

    def write(
        self, step: int, checkpoint: Checkpoint, *, keep: int | None = None, replace: bool = False
    ) -> None:
        """Write a checkpoint after `step` kept steps, check it, and drop all but the last two.

        Args:
            step: kept steps that are done.
            checkpoint: the state.
            keep: a step whose checkpoint is kept besides: the start of the open stage, which divergence goes back to.
            replace: one that is there already is replaced, and those after it dropped: the run went back. Otherwise
                it is of the same state, and stays.

        Raises:
            UnwritableError: if it cannot be written; those before it are as they were.
        """
        final = self._path(step)
        if final.exists() and not replace:
            return
        aside = final.with_name(f"{final.name}.part")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            save_file(checkpoint.tensors, aside / _TENSORS)
            (aside / _VALUES).write_bytes(orjson.dumps(checkpoint.values))
            sums = {name: _checksum(aside / name) for name in (_TENSORS, _VALUES)}
            (aside / _MANIFEST).write_bytes(orjson.dumps({"format_version": FORMAT_VERSION, "sha256": sums}))
            _require_same(aside / _TENSORS, checkpoint.tensors)
            self._publish(aside, final)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise UnwritableError(
                f"The run directory must take a checkpoint, but {final} cannot be written: {error}. Free some space "
                "or mend the folder's permissions."
            ) from error
        if replace:
            self.drop_after(step)
        for old in self.steps()[:-KEPT]:
            if old != keep:
                shutil.rmtree(self._path(old), ignore_errors=True)

    def _publish(self, aside: Path, final: Path) -> None:
        """Give a whole checkpoint its name; a folder cannot replace another, so that one is renamed first."""
        replaced = final.with_name(f"{final.name}{_REPLACED}")
        if final.exists():
            final.rename(replaced)
        publish(aside, final)
        shutil.rmtree(replaced, ignore_errors=True)

    def _put_back(self) -> None:
        """Undo a replacement that was cut off between its two renames."""
        for replaced in self.folder.glob(f"step-*{_REPLACED}"):
            final = replaced.with_name(replaced.name.removesuffix(_REPLACED))
            if final.exists():
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                replaced.rename(final)

    def read(self) -> tuple[int, Checkpoint, list[str]] | None:
        """Return the latest whole checkpoint with its step, and what is wrong with those after it; None: there is none.

        Raises:
            ConfigError: if there are some but none is whole, or one cannot be read now or by this program.
        """
        self._put_back()
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return step, self._read(self._path(step)), damaged
            except _DamagedError as error:
                damaged.append(f"{self._path(step)} is damaged ({error}), so the one before it is used.")
        if damaged:
            raise ConfigError(
                f"A checkpoint must be whole to go on from it, but all in {self.folder} are damaged. Restore one, or "
                "remove the folder to begin the run again."
            )
        return None

    def read_at(self, step: int) -> Checkpoint:
        """Return the checkpoint after `step` kept steps.

        Raises:
            DamagedRecordError: if it is missing or damaged.
            ConfigError: if it cannot be read now.
        """
        try:
            return self._read(self._path(step))
        except _DamagedError as error:
            raise DamagedRecordError(
                f"The checkpoint {self._path(step)} must be whole to go back to it, but it is not: {error}. "
                "Begin a new run; under search=paper with a lower search.lr_max."
            ) from error

    def drop_after(self, step: int) -> None:
        """Remove checkpoints after `step`, which are damaged, and those half-written: their names will be needed."""
        for half in self.folder.glob("step-*.part"):
            shutil.rmtree(half, ignore_errors=True)
        for later in self.steps():
            if later > step:
                shutil.rmtree(self._path(later), ignore_errors=True)

    def forget(self) -> None:
        """Remove all checkpoints, and the folder if nothing else lies in it."""
        self.drop_after(-1)
        with suppress(OSError):
            self.folder.rmdir()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09}"

    def _read(self, path: Path) -> Checkpoint:
        try:
            for name in (_MANIFEST, _TENSORS, _VALUES):
                if not (path / name).is_file():  # a pipe would be waited for
                    raise _DamagedError(f"{name} is missing")
            _require_as_written(path, orjson.loads((path / _MANIFEST).read_bytes()))
            values = orjson.loads((path / _VALUES).read_bytes())
            if not isinstance(values, dict):
                raise _DamagedError(f"{_VALUES} holds no group")
            return Checkpoint(load_file(path / _TENSORS), values)
        except ConfigError:
            raise
        except FileNotFoundError as error:
            raise _DamagedError(f"{Path(error.filename).name} is missing") from error
        except OSError as error:
            # Not damage: the same file may be read well in a minute, or by another person.
            raise ConfigError(
                f"A checkpoint must be readable, but {path} is not: {error.strerror}. Mend that, then resume."
            ) from error
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise _DamagedError(str(error) or type(error).__name__) from error


def _require_as_written(path: Path, manifest: Mapping[str, Any]) -> None:
    version = manifest["format_version"]
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"A checkpoint must be of format version {FORMAT_VERSION}, but {path} is of version {version}. "
            "Resume with the version of autolrs that wrote it (summary.json and the journal name it)."
        )
    for name in (_TENSORS, _VALUES):
        if _checksum(path / name) != manifest["sha256"][name]:
            raise _DamagedError(f"the checksum of {name} does not match")


def _require_same(path: Path, meant: Mapping[str, Tensor]) -> None:
    """Raise unless what the file gives back is what was meant, bit for bit."""
    with safe_open(path, "pt") as stored:
        for name, tensor in meant.items():
            if not _bytes(stored.get_tensor(name)).equal(_bytes(tensor)):
                raise OSError(f"{name} came back different from the disk")


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.flatten().view(torch.uint8)


class _DamagedError(Exception):
    """A checkpoint that is not what was written."""


@contextmanager
def refusing_foreign() -> Iterator[None]:
    """Turn whatever one stumbles over in a state that this program did not write into a refusal.

    The checksums find damage; this is for a checkpoint that was edited and sealed again.

    Raises:
        ConfigError: saying what it was.
    """
    try:
        yield
    except ConfigError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise ConfigError(
            f"A checkpoint must be as autolrs wrote it, but its state cannot be put back: {type(error).__name__}: "
            f"{error}. Remove that checkpoint to go on from the one before it, or begin a new run."
        ) from error


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
