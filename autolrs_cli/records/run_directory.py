"""The files of a run directory (see docs/run-directory.md)."""

from __future__ import annotations

import csv
import hashlib
import os
import shlex
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from filelock import FileLock, Timeout

from autolrs_cli.config_keys import without
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import ConfigError, RunInUseError

SCHEMA_VERSION = 1
# Keys that cannot change a run's results, so that runs differing only in them are the same experiment.
HARMLESS_KEYS = (
    "dashboard",
    "optimizer.name",
    "tracker",
    "run.dir",
    "run.config_dir",
    "run.checkpoint_every_seconds",
    "run.log_every_steps",
    "runtime.max_seconds",
    "runtime.snapshot",
    "runtime.timeout_seconds",
    "runtime.workers",
)
PROCESSES = "runtime.processes"
"""How many processes share each global batch: it changes results, but may be changed for a run that goes on."""


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
        self.averaged_model = root / "model_averaged.safetensors"
        self.best_model = root / "model_best.safetensors"
        self.checkpoints = root / "checkpoints"
        self.best_weights = root / "checkpoints" / "best"
        self.last_weights = root / "checkpoints" / "averaging"
        self.summary = root / "summary.json"
        self.preprocessing = root / "preprocessing"
        self._lock = root / "run.lock"

    @property
    def holds_run(self) -> bool:
        """Whether a run was begun here: config.yaml alone may be anybody's, so there must be more of a run."""
        return self.config.is_file() and any(
            path.exists() for path in (self.journal, self._lock, self.summary)
        )

    def require_run(self) -> None:
        """Check that this is a run directory.

        Raises:
            ConfigError: if not.
        """
        if not self.holds_run:
            raise ConfigError(
                f"A run directory must hold config.yaml and journal.jsonl, but {self.root} does not. Name the "
                "directory that the run's closing card names."
            )

    def forget_if_not_begun(self) -> None:
        """Remove the configuration of a run that was killed before its first event: it has nothing to go on from."""
        if not self.journal.exists():
            self.config.unlink(missing_ok=True)

    def require_own_files(self) -> None:
        """Check that what a run writes here would not be written elsewhere.

        Raises:
            ConfigError: if one of its files is a link.
        """
        own = [self.config, self.journal, self.schedule, self.model, self.averaged_model, self.checkpoints]
        own += [
            self.last_weights,
            self.best_model,
            self.best_weights,
            self.summary,
            self.preprocessing,
            self._lock,
            self._lock.with_suffix(".holder"),
        ]
        links = [path.name for path in own if path.is_symlink()]
        if links:
            raise ConfigError(
                f"A run directory must hold its own files, but in {self.root} these are links: {', '.join(links)}. "
                "Replace each by what it leads to."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working here; the lock dies with its process.

        Raises:
            RunInUseError: if another process holds it.
            ConfigError: if it cannot be written.
        """
        self.require_own_files()
        holder = self._lock.with_suffix(".holder")
        lock = FileLock(self._lock, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise self._in_use() from error
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

    def _in_use(self) -> RunInUseError:
        name = None
        with suppress(OSError):
            name = self._lock.with_suffix(".holder").read_text()
        by = f" by {name}" if name else ""
        return RunInUseError(
            f"One process at a time may work on a run, but {self.root} is in use{by}. Wait for it, or stop it.",
            name,
        )

    def is_worked_on(self) -> bool:
        """Say whether a process holds the lock, which a killed one no longer does; nothing is written."""
        if not self._lock.with_suffix(".holder").exists():
            return False
        try:
            import fcntl

            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
        except FileNotFoundError:
            return False
        except (
            ImportError,
            OSError,
        ):  # it is held; or the system has no such locks, and the holder's word counts
            return True
        return False

    def holder_process(self) -> int | None:
        """Return the number of the process on this machine that works here, as it wrote it down."""
        with suppress(OSError, ValueError):
            number, _, host = (
                self._lock.with_suffix(".holder").read_text().removeprefix("process ").partition(" on ")
            )
            return int(number) if host == socket.gethostname() else None
        return None

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
        except (OSError, ValueError, RecursionError) as error:  # a NUL in the name, a thousand folders
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"The run directory must be writable, but {self.root} is not: {reason}. "
                "Set run.dir to a folder that you can write."
            ) from error
        self.require_own_files()
        if self.config.exists() or self.journal.exists():
            raise ConfigError(
                f"A run directory holds one run, but {self.root} already holds one. Set run.dir to another folder, or "
                f"go on with that one: autolrs resume {shlex.quote(str(self.root))}"
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
    kept = without(config, frozenset(harmless))
    text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:8]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as strict JSON, whole or not at all; NaN and infinities become null."""
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


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
