"""Where a stopped run goes on: its last whole checkpoint, and the state of its search since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autolrs_cli.contracts import LossKind
from autolrs_cli.errors import ConfigError
from autolrs_cli.records.journal import Record, cut_journal, read_tail
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.settings import MAX_WHOLE
from autolrs_cli.training.checkpoint import Checkpoint, Checkpoints
from autolrs_cli.training.weights import LastCheckpoints

NOT_BIT_EXACT = "The run is not bit-exact from here on, since this has changed:"


@dataclass(frozen=True)
class SearchProgress:
    """How far the search of the open stage had come."""

    trials: int
    """Finished after the checkpoint."""
    steps: int
    """Optimizer steps that they made."""
    seconds: float
    policy: Mapping[str, Any]
    """The policy's state after the last of them."""
    untrained_loss: Mapping[LossKind, float]


@dataclass(frozen=True)
class ResumePoint:
    """The state that a run goes on from."""

    checkpoint: Checkpoint | None
    """None: the run was stopped before its first, and begins again."""
    step: int
    """Kept steps that are done."""
    search: SearchProgress | None
    """None: no trial was finished after the checkpoint."""
    t: float
    """Seconds of work so far, lost work included."""
    repeated_steps: int
    repeated_seconds: float
    warnings: tuple[str, ...]
    changed: tuple[str, ...]
    """What is not as it was when the run began, and may change its results from here on."""
    resumed_before: int
    """How often the run was resumed since the checkpoint."""
    journal_bytes: int
    """Where the journal is to be cut."""


def find_resume_point(directory: RunDirectory, changed: Sequence[str] = ()) -> ResumePoint | None:
    """Return where the run goes on; None if there is no journal yet.

    The journal is to be cut after the last finished trial of the open stage, else where the checkpoint was taken: so
    each kept step stands in it once.

    Args:
        directory: of the run, locked.
        changed: what is not as it was when the run began, in words.

    Raises:
        ConfigError: if journal and checkpoints do not belong together or cannot be read.
    """
    if not directory.journal.exists():
        return None
    checkpoints = Checkpoints(directory.checkpoints)
    found = checkpoints.read()
    damaged = found[2] if found else []
    step, checkpoint = (found[0], found[1]) if found else (0, None)
    try:
        run = _account(checkpoint.values, step) if checkpoint else {}
        offset = run.get("journal_bytes", 0)
        tail = read_tail(directory.journal, offset)
        search, end = _search_progress(tail, step) if checkpoint else (None, 0)
        t = max([run.get("t", 0.0), *(record["t"] for _, record in tail)])
        total = max([run.get("total_steps", 0), *(record["total_steps"] for _, record in tail)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"A run's journal must be whole from its last checkpoint on, but {directory.journal} is not: {error} "
            "Restore it, or begin a new run."
        ) from error
    made, seconds = (search.steps, search.seconds) if search else (0, 0.0)
    resumed = [record for _, record in tail if record["event"] == "resumed"]
    if checkpoint is None:
        changed = ()  # nothing of what was done then is left
    else:
        changed = tuple(
            dict.fromkeys([*changed, *(each for record in resumed for each in record["changed"])])
        )
    return ResumePoint(
        checkpoint=checkpoint,
        step=step,
        search=search,
        t=t,
        repeated_steps=max(0, total - run.get("total_steps", 0) - made),
        repeated_seconds=max(0.0, t - run.get("t", 0.0) - seconds),
        warnings=(*damaged, *([f"{NOT_BIT_EXACT} {'; '.join(changed)}."] if changed else [])),
        changed=changed,
        resumed_before=len(resumed),
        journal_bytes=max(offset, end),
    )


def cut(directory: RunDirectory, point: ResumePoint) -> None:
    """Remove what a run that goes on will write again.

    Raises:
        ConfigError: if the run directory cannot be written.
    """
    try:
        cut_journal(directory.journal, point.journal_bytes)
        Checkpoints(directory.checkpoints).drop_after(point.step if point.checkpoint else -1)
        for folder in (directory.last_weights, directory.best_weights):
            LastCheckpoints(folder, 1, 1).drop_after(point.step)
    except OSError as error:
        raise ConfigError(
            f"The run directory must be writable, but {directory.root} is not: {error.strerror}. Mend its permissions."
        ) from error


def _account(values: Mapping[str, Any], step: int) -> Mapping[str, Any]:
    """Return what a checkpoint has to say of the run.

    Raises:
        ValueError: if it is not of the checkpoint after `step` kept steps.
    """
    run: Mapping[str, Any] = values["run"]
    counts = [run[name] for name in ("step", "total_steps", "journal_bytes")]
    whole = all(type(count) is int and 0 <= count <= MAX_WHOLE for count in counts)
    if not whole or counts[0] != step or type(run["t"]) not in (int, float) or run["t"] < 0:
        raise ValueError(f"the checkpoint after step {step:,} has the account of another.")
    return run


def _search_progress(tail: Sequence[tuple[int, Record]], step: int) -> tuple[SearchProgress | None, int]:
    """Return what the search found out at `step`, and where the record of its last state ends."""
    progress, end = None, 0
    trials, steps, seconds, began = 0, 0, 0.0, 0.0
    for position, record in tail:
        if record["step"] != step or record["event"] == "rolled_back":
            break
        if record["event"] == "trial_started":
            began = record["t"]
        elif record["event"] == "trial_finished":
            trials, steps, seconds = trials + 1, steps + record["steps"], seconds + record["t"] - began
        elif record["event"] == "search_state":
            progress = SearchProgress(trials, steps, seconds, record["policy"], record["untrained_loss"])
            end = position
    return progress, end
