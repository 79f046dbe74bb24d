"""What has become of a run, read from its directory: the sweep has no memory of its own."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from autolrs_cli.errors import ConfigError, RunInUseError
from autolrs_cli.exit_codes import RESUMABLE, EndCause
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.records.run_end import cause_of
from autolrs_cli.signals import STOPPING

State = Literal["done", "failed", "interrupted", "in use", "to come", "stale"]
# How a process ends whose run can go on: those exit codes, and the signals themselves where they came too early.
GOES_ON = (*RESUMABLE, *(-number for number in STOPPING))


@dataclass(frozen=True)
class RunState:
    """What has become of a run."""

    state: State
    reason: str = ""
    summary: dict[str, Any] | None = None
    cause: EndCause | None = None
    """Why it ended; None: it has not, or was killed."""
    goes_on: bool = False
    """Of a failed one: whether it wrote no end, so that the next command goes on with it, or begins it, unasked."""

    @property
    def has_result(self) -> bool:
        """Whether the run can be compared: done, or diverged, which is a result too."""
        return self.state == "done" or self.cause is EndCause.DIVERGED


def state_of(root: Path) -> RunState:
    """Return what has become of the run in `root`.

    A run without a summary was killed before it could write one, so it can go on like one that was interrupted.
    """
    directory = RunDirectory(root)
    if not directory.config.exists():
        return RunState("to come")
    summary = _summary(directory)
    status = summary["status"] if summary else None
    if status == "done":
        return RunState("done", summary=summary, cause=EndCause.DONE)
    try:
        with directory.locked():
            pass
    except RunInUseError as error:
        return RunState("in use", f"by {error.holder}" if error.holder else "")
    except ConfigError as error:
        return RunState("failed", str(error))
    if not directory.journal.exists():
        return RunState("to come")
    reason, cause = str((summary or {}).get("reason") or ""), cause_of(summary or {})
    if status == "failed":
        return RunState("failed", reason, summary, cause)
    return RunState("interrupted", reason or "killed", summary, cause)


def set_aside(root: Path, why: Literal["failed", "stale"] = "failed") -> Path:
    """Move a run, or a study, out of the way of a new one; return where it lies now."""
    aside = next(
        path for n in range(1, 10_000) if not (path := root.with_name(f"{root.name}.{why}-{n}")).exists()
    )
    return root.rename(aside)


def explain_exit(code: int, log: Path) -> str:
    """Say why a run's process ended with a code that is none of ours, or before it could write anything.

    Args:
        code: its exit code; negative: the signal that killed it.
        log: what it printed.
    """
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return last_words(log) or f"its process ended with exit code {code}"


def _summary(directory: RunDirectory) -> dict[str, Any] | None:
    try:
        found = orjson.loads(directory.summary.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "status" in found else None
