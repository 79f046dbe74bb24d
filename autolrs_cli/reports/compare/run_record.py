"""What a comparison needs from a journal, read fast: most lines are recognised by their first bytes and not parsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from autolrs_cli.contracts import WeightsKind
from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.records.journal import Record
from autolrs_cli.records.run_directory import LrSpan, RunDirectory
from autolrs_cli.records.run_end import cause_of
from autolrs_cli.wording import counted

FloatArray = NDArray[np.float64]
# Of the kept steps' events, at most this many are parsed: a plot shows no more.
MOST_POINTS = 2_000
STEP = b'{"event":"step",'
UNUSED = tuple(
    b'{"event":"%s",' % name
    for name in (
        b"trial_step",
        b"trial_started",
        b"trial_finished",
        b"surrogate",
        b"checkpoint",
        b"stage_started",
    )
)


@dataclass(frozen=True)
class TargetEvaluation:
    """One measurement of the slice that decides targets."""

    step: int
    total_steps: int
    t: float
    """Seconds since the run first started."""
    weights: WeightsKind
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class KeptSteps:
    """Kept steps over the run, thinned out; arrays of one length."""

    step: FloatArray
    total_steps: FloatArray
    t: FloatArray
    lr: FloatArray
    loss: FloatArray
    """Training loss; NaN where it was not finite."""


@dataclass(frozen=True)
class Origin:
    """Where a run was made that an archive keeps."""

    machine: str
    journal_sha256: str
    """Of the journal that its record was made from."""
    title: str
    """Name of its arm; empty: that which its settings give."""
    spans: tuple[LrSpan, ...] = ()
    """LRs of a searched run, warm-up included, at full precision; none: not kept."""


@dataclass(frozen=True)
class RunRecord:
    """One run, from its journal alone, or from what an archive keeps of that."""

    path: Path
    started: Record
    """The event `run_started`."""
    evaluations: tuple[TargetEvaluation, ...]
    points: KeptSteps
    chosen: tuple[Record, ...] = ()
    """The events `lr_chosen`."""
    resumed: tuple[Record, ...] = ()
    rolled_back: tuple[Record, ...] = ()
    """The events of that name: stages that diverged in training; what they took back is left out above."""
    ended: Record | None = None
    """The event `run_finished`, or the last `interrupted`; None: killed, or still running."""
    origin: Origin | None = None
    """None: it lies here, and was read from its journal."""

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return dict(self.started["config"])

    @property
    def description(self) -> dict[str, Any]:
        """What is trained, on what."""
        return dict(self.started["description"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config["seed"])

    @property
    def max_steps(self) -> int:
        """Kept steps that the run was planned for."""
        return int(self.config["run"]["max_steps"])

    @property
    def hardware(self) -> str:
        """Device and threads."""
        threads = self.description.get("threads")
        said = counted(threads, "thread") if isinstance(threads, int) else f"{threads} threads"
        return f"{self.description.get('device')}, {said}"

    @property
    def done(self) -> bool:
        """Whether the run came to its end: the planned one, or its target, if it was to stop there."""
        return self.ended is not None and self.ended.get("status") == "done"

    @property
    def stopped_at_target(self) -> bool:
        """Whether it ended before its planned end, since its own target was reached."""
        return self.done and self.ended is not None and int(self.ended["step"]) < self.max_steps

    @property
    def diverged(self) -> bool:
        """Whether it failed because its training diverged: that is a result, and counts as a miss."""
        return cause_of(self.ended or {}) is EndCause.DIVERGED

    @property
    def ledger(self) -> dict[str, dict[str, float]]:
        """Bucket -> steps and seconds; empty for a run that did not end by itself."""
        return dict((self.ended or {}).get("ledger") or {})


def read_run(path: Path) -> RunRecord:
    """Read a run directory's journal.

    Raises:
        ConfigError: if it cannot be read, is damaged, or does not begin as a journal of ours does.
    """
    journal = RunDirectory(path).journal
    kept: dict[str, list[Record]] = {}
    steps: list[bytes] = []
    try:
        for line in _useful_lines(journal, steps):
            record = _parse(line, journal)
            kept.setdefault(str(record["event"]), []).append(record)
            if record["event"] == "rolled_back":
                _take_back(record, kept, steps)
    except OSError as error:
        raise ConfigError(
            f"A run's journal must be readable, but {journal} is not: {error.strerror}. The run may have ended before "
            "its first step; leave it out, or run it again."
        ) from error
    if not kept.get("run_started") or not is_well_formed(kept["run_started"][0]):
        raise ConfigError(
            f"A journal must begin with run_started, but {journal} does not: the run ended before its first step, or "
            "the file is not ours. Leave it out, or run it again."
        )
    ends = [*kept.get("interrupted", ()), *kept.get("run_finished", ())]
    return RunRecord(
        path,
        kept["run_started"][0],
        tuple(_evaluations(kept.get("eval", ()))),
        _points([_parse(line, journal) for line in _thinned(steps)]),
        tuple(kept.get("lr_chosen", ())),
        tuple(kept.get("resumed", ())),
        tuple(kept.get("rolled_back", ())),
        ends[-1] if ends else None,
    )


def _useful_lines(journal: Path, steps: list[bytes]) -> Iterator[bytes]:
    """Yield the lines to be parsed; put those of kept steps into `steps` instead."""
    with journal.open("rb") as file:
        for line in file:
            if not line.endswith(b"}\n"):
                if not line.endswith(b"\n"):
                    return  # torn by a crash, or just being written
                raise _damaged(journal, line)
            if line.startswith(STEP):
                steps.append(line)
            elif not line.startswith(UNUSED):
                yield line


def _take_back(rolled_back: Record, kept: dict[str, list[Record]], steps: list[bytes]) -> None:
    """Drop the kept steps, evaluations and chosen LR of a stage that diverged and is searched again."""
    back_to = rolled_back["step"]
    while steps and orjson.loads(steps[-1])["step"] > back_to:
        steps.pop()
    kept["eval"] = [record for record in kept.get("eval", ()) if record["step"] <= back_to]
    kept["lr_chosen"] = [record for record in kept.get("lr_chosen", ()) if record["step"] < back_to]


def _thinned(lines: list[bytes]) -> list[bytes]:
    """Return at most `MOST_POINTS` lines, evenly spread, the first and the last among them."""
    if len(lines) <= MOST_POINTS:
        return lines
    return [lines[i] for i in np.linspace(0, len(lines) - 1, MOST_POINTS).round().astype(int)]


def _parse(line: bytes, journal: Path) -> Record:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _damaged(journal, line) from None
    if not isinstance(record, dict) or not {"event", "t", "step", "total_steps"} <= record.keys():
        raise _damaged(journal, line)
    return record


def _damaged(journal: Path, line: bytes) -> ConfigError:
    return ConfigError(
        f"Every line of a journal must be an event, but {journal} is damaged: it holds {line[:60]!r}. "
        "Restore it from a copy, or leave the run out."
    )


def is_well_formed(record: Record) -> bool:
    """Return whether `run_started` says what every comparison asks it."""
    config = record.get("config")
    return (
        isinstance(config, dict)
        and isinstance(record.get("description"), dict)
        and {"seed", "run", "schedule", "recipe"} <= config.keys()
    )


def _evaluations(records: Any) -> Iterator[TargetEvaluation]:
    for r in records:
        if r["split"] == "target":
            yield TargetEvaluation(r["step"], r["total_steps"], r["t"], r["weights"], r["metrics"])


def _points(records: list[Record]) -> KeptSteps:
    def column(name: str) -> FloatArray:
        # A missing loss becomes NaN.
        return np.array([record.get(name) for record in records], dtype=np.float64)

    return KeptSteps(*(column(name) for name in ("step", "total_steps", "t", "lr", "loss")))
