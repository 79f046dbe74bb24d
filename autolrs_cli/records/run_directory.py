"""The files of a run directory (see docs/run-directory.md)."""

from __future__ import annotations

import csv
import hashlib
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from filelock import FileLock, Timeout

from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError

SCHEMA_VERSION = 1
# Keys that cannot change a run's results, so that runs differing only in them are the same experiment.
HARMLESS_KEYS = (
    "dashboard",
    "tracker",
    "run.dir",
    "run.config_dir",
    "run.checkpoint_every_seconds",
    "run.log_every_steps",
    "runtime.max_seconds",
    "runtime.snapshot",
    "runtime.workers",
)


class RunDirectory:
    """Paths inside a run directory.

    Args:
        root: the directory; `create` makes it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.journal = root / "journal.jsonl"
        self.schedule = root / "schedule.csv"
        self.model = root / "model.safetensors"
        self.checkpoints = root / "checkpoints"
        self.last_weights = root / "checkpoints" / "averaging"
        self.summary = root / "summary.json"
        self._lock = root / "run.lock"

    def require_run(self) -> None:
        """Check that a run was begun here.

        Raises:
            ConfigError: if not.
        """
        if not self.config.is_file():
            raise ConfigError(
                f"A run directory must hold config.yaml, but {self.root} has none. Name the directory that the run's "
                "closing card names."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working here; the lock dies with its process.

        Raises:
            ConfigError: if another process holds it.
        """
        holder = self._lock.with_suffix(".holder")
        lock = FileLock(self._lock, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            with suppress(OSError):
                raise ConfigError(
                    f"One process at a time may work on a run, but {self.root} is in use by {holder.read_text()}. "
                    "Wait for it, or stop it."
                ) from error
            raise ConfigError(
                f"One process at a time may work on a run, but {self.root} is in use."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The run directory must be writable, but {self.root} is not: {error.strerror}. Mend its permissions."
            ) from error
        try:
            with suppress(OSError):
                holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)
                if self.model.exists():  # a run that has ended is not worked on again
                    self._lock.unlink(missing_ok=True)
            lock.release()

    def create(self) -> None:
        """Make the directory, and prove that it can be written.

        Raises:
            ConfigError: if it cannot be written, or already holds a run.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".write-test-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"The run directory must be writable, but {self.root} is not: {error.strerror}. "
                "Set run.dir to a folder that you can write."
            ) from error
        if self.config.exists() or self.journal.exists():
            raise ConfigError(
                f"A run directory holds one run, but {self.root} already holds one. Set run.dir to another folder, or "
                f"go on with that one: autolrs resume {self.root}"
            )


def default_root(recipe: str, schedule: str, seed: int, config_id: str, now: datetime) -> Path:
    """Return runs/<recipe>/<schedule>/seed<seed>/<time>-<id>, made unique by a suffix if it exists."""
    parent = Path("runs") / recipe / schedule / f"seed{seed}"
    stem = f"{now:%Y%m%d-%H%M%S}-{config_id}"
    names = [stem, *(f"{stem}-{n}" for n in range(2, 100))]
    return next((parent / n for n in names if not (parent / n).exists()), parent / stem)


def config_id(config: Mapping[str, Any], harmless: Iterable[str]) -> str:
    """Return 8 hex digits of the hash of a resolved configuration without its harmless keys.

    Args:
        config: nested plain containers.
        harmless: dotted keys that cannot change results.
    """
    kept = _without(config, frozenset(harmless), "")
    text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:8]


def _without(node: Any, keys: frozenset[str], prefix: str) -> Any:
    if not isinstance(node, Mapping):
        return node
    return {k: _without(v, keys, f"{prefix}{k}.") for k, v in node.items() if f"{prefix}{k}" not in keys}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as strict JSON, whole or not at all; NaN and infinities become null."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    publish(aside, path)


class LrSpan(NamedTuple):
    """Consecutive kept steps at one LR."""

    stage: str
    first_step: int
    steps: int
    lr: float


@dataclass
class ScheduleLog:
    """The LRs of the kept steps, as spans."""

    spans: list[LrSpan] = field(default_factory=list)

    def add(self, stage: str, lr: float) -> None:
        """Note the LR of the next kept step."""
        last = self.spans[-1] if self.spans else LrSpan(stage, 0, 0, lr)
        if self.spans and (last.stage, last.lr) == (stage, lr):
            self.spans[-1] = last._replace(steps=last.steps + 1)
        else:
            self.spans.append(LrSpan(stage, last.first_step + last.steps, 1, lr))


def write_schedule(path: Path, rows: Iterable[LrSpan]) -> None:
    """Write the LRs of the kept steps at full precision, so that the run can be replayed without its search."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(LrSpan._fields)
        writer.writerows((row.stage, row.first_step, row.steps, repr(row.lr)) for row in rows)
