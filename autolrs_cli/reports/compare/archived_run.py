"""A run's record in an archive: all that tables and figures need, in a few kilobytes."""

from __future__ import annotations

import csv
import hashlib
import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.archive import read_archive
from autolrs_cli.records.run_directory import LrSpan, RunDirectory
from autolrs_cli.reports.compare.run_record import (
    FloatArray,
    KeptSteps,
    Origin,
    RunRecord,
    TargetEvaluation,
    is_well_formed,
)

KIND = "run"
# Of the kept steps, about this many stand for all in a figure; evaluations are kept one and all.
MOST_POINTS = 150
# A searched run's LRs, warm-up included, are kept whole up to this many spans: enough to replay it.
MOST_SPANS = 400
DIGITS = {"lr": 6, "loss": 5}
"""Significant digits of what is only drawn."""


def archived(run: RunRecord, title: str) -> dict[str, Any]:
    """Return a run as an archive keeps it.

    Args:
        run: read from its directory, or from an archive.
        title: name of its arm.
    """
    origin = run.origin or origin_of(run)
    return {
        "kind": KIND,
        "title": title,
        "path": str(run.path),
        "machine": origin.machine,
        "journal": {"sha256": origin.journal_sha256},
        "started": run.started,
        "evaluations": list(_columns(run.evaluations)),
        "points": _thinned(run.points),
        "chosen": run.chosen,
        "resumed": run.resumed,
        "rolled_back": run.rolled_back,
        "ended": run.ended,
        "spans": [list(span) for span in origin.spans],
    }


def origin_of(run: RunRecord) -> Origin:
    """Return where a run was made that lies here: on this machine.

    Raises:
        ConfigError: if its journal cannot be read any more.
    """
    directory = RunDirectory(run.path)
    try:
        with directory.journal.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"A run's journal must be readable, but {directory.journal} is not: {error.strerror}."
        ) from error
    return Origin(this_machine(), digest, "", _spans(directory) if run.chosen else ())


def this_machine() -> str:
    """Return a name for this machine that people know it by."""
    return f"{socket.gethostname()} ({platform.system()} {platform.machine()})"


def _spans(directory: RunDirectory) -> tuple[LrSpan, ...]:
    """Return the LRs of a searched run; none if it kept none, or more than an archive keeps."""
    try:
        with directory.schedule.open(newline="", encoding="utf-8") as file:
            rows = list(islice(csv.DictReader(file), MOST_SPANS + 1))
        spans = [
            LrSpan(row["stage"], int(row["first_step"]), int(row["steps"]), float(row["lr"])) for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(spans) if len(spans) <= MOST_SPANS else ()


def _columns(evaluations: Sequence[TargetEvaluation]) -> Iterator[dict[str, Any]]:
    """Yield the evaluations by columns: one group for each kind of weights and set of metrics."""
    groups: dict[tuple[str, ...], list[TargetEvaluation]] = {}
    for each in evaluations:
        groups.setdefault((each.weights, *each.metrics), []).append(each)
    for (weights, *metrics), own in groups.items():
        yield {
            "weights": weights,
            "step": [each.step for each in own],
            "total_steps": [each.total_steps for each in own],
            "t": [each.t for each in own],
            "metrics": {name: [each.metrics[name] for each in own] for name in metrics},
        }


def _thinned(points: KeptSteps) -> dict[str, Any]:
    """Return some of the kept steps: evenly spread ones, and where the LR changes if it does so at few places."""
    count = len(points.step)
    evenly = np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int)
    changes = np.flatnonzero(np.diff(points.lr)) + 1
    if len(changes) <= MOST_POINTS // 3:
        evenly = np.union1d(evenly, np.concatenate([changes, changes - 1])).astype(int)
    found: dict[str, Any] = {name: _whole(getattr(points, name)[evenly]) for name in ("step", "total_steps")}
    found["t"] = [round(float(t), 1) for t in points.t[evenly]]
    for name, digits in DIGITS.items():
        found[name] = [_rounded(value, digits) for value in getattr(points, name)[evenly]]
    return found


def _whole(values: FloatArray) -> list[int]:
    return [int(value) for value in values]


def _rounded(value: float, digits: int) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def read_archived_runs(path: Path) -> list[RunRecord]:
    """Return the runs of an archive.

    Raises:
        ConfigError: if it cannot be read, or one of them is damaged.
    """
    return [restored(record, path) for record in read_archive(path) if record["kind"] == KIND]


def restored(record: Mapping[str, Any], archive: Path) -> RunRecord:
    """Return the run of one of an archive's records.

    Raises:
        ConfigError: if it is damaged.
    """
    try:
        if not is_well_formed(record["started"]):
            raise ValueError("it does not say how the run began")
        points = record["points"]
        spans = tuple(LrSpan(str(s), int(first), int(n), float(lr)) for s, first, n, lr in record["spans"])
        return RunRecord(
            Path(record["path"]),
            record["started"],
            tuple(sorted(_evaluations(record["evaluations"]), key=lambda each: each.t)),
            KeptSteps(*(np.array(points[n], dtype=np.float64) for n in KeptSteps.__dataclass_fields__)),
            tuple(record["chosen"]),
            tuple(record["resumed"]),
            tuple(record["rolled_back"]),
            record["ended"],
            Origin(str(record["machine"]), str(record["journal"]["sha256"]), str(record["title"]), spans),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Every run of an archive must be whole, but one in {archive} is not: {error!r}. Restore the file from a "
            "copy, or leave it out."
        ) from error


def _evaluations(groups: Sequence[Mapping[str, Any]]) -> Iterator[TargetEvaluation]:
    for group in groups:
        metrics = group["metrics"]
        rows = zip(group["step"], group["total_steps"], group["t"], *metrics.values(), strict=True)
        for step, total_steps, t, *values in rows:
            yield TargetEvaluation(
                int(step),
                int(total_steps),
                float(t),
                group["weights"],
                dict(zip(metrics, values, strict=True)),
            )
