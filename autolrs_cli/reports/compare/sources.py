"""What a comparison is made of: the run directories and archives at the places that were named, each read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.archive import read_archive
from autolrs_cli.records.find_runs import find_run_directories
from autolrs_cli.reports.compare.archived_run import KIND as RUN
from autolrs_cli.reports.compare.archived_run import restored
from autolrs_cli.reports.compare.limit import KIND as LIMIT
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.run_record import RunRecord, read_run

NOTE = "note"
"""What an archive keeps of what no run of it tells: `said`, a sentence."""


@dataclass(frozen=True)
class Sources:
    """What was found."""

    runs: Sequence[RunRecord]
    unreadable: Sequence[str] = ()
    """What is wrong with run directories that cannot be read."""
    notes: Sequence[str] = ()
    """What else a reader must know, such as runs that failed."""
    limits: Sequence[PracticalLimit] = ()
    """Those of archives."""


def read_sources(places: Sequence[Path], *, force: bool) -> Sources:
    """Read run directories, folders that hold them at any depth, and archives.

    Args:
        places: where they lie.
        force: leave out what cannot be read.

    Raises:
        ConfigError: if nothing is there, an archive cannot be read, or a run directory and not `force`.
    """
    archived = _archived(places)
    folders = [path for path in places if not path.is_file()]
    runs, problems = list(archived.runs), list[str]()
    for path in find_run_directories(folders) if folders or not places else ():
        try:
            runs.append(read_run(path))
        except ConfigError as error:
            problems += error.problems
    if not runs or (problems and not force):
        raise ConfigError(problems)
    return Sources(runs, problems, archived.notes, archived.limits)


def _archived(places: Sequence[Path]) -> Sources:
    records = [(path, record) for path in places if path.is_file() for record in read_archive(path)]
    return Sources(
        [restored(record, path) for path, record in records if record["kind"] == RUN],
        notes=[str(record["said"]) for _, record in records if record["kind"] == NOTE],
        limits=[PracticalLimit.from_json(record) for _, record in records if record["kind"] == LIMIT],
    )
