"""Find run directories below the folders that a person names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.run_directory import RunDirectory

# As `autolrs sweep --rerun-stale` names them.
_STALE = re.compile(r"\.stale-\d+$")


def find_run_directories(paths: Sequence[Path]) -> list[Path]:
    """Return every run directory among and below `paths`, each once, sorted.

    Hidden folders below `paths` are passed over, and so is what lies inside a run directory.

    Raises:
        ConfigError: if a path is not a folder, or holds no run.
    """
    if not paths:
        raise ConfigError(
            "A comparison needs run directories, but got none. Name them, or a folder that holds them."
        )
    problems, found = [], {}
    for path in paths:
        if not path.is_dir():
            problems.append(
                f"A run directory must be a folder, but {path} is not one. Name one, or a folder that holds some."
            )
            continue
        runs = list(runs_below(path))
        found.update({run.resolve(): run for run in runs})
        if not runs:
            problems.append(
                f"A run directory holds config.yaml and journal.jsonl, but there is none at or below {path}. "
                "Name the folder that a run's closing card names, or one above it."
            )
    if problems:
        raise ConfigError(problems)
    return sorted(found.values())


def runs_below(root: Path) -> Iterator[Path]:
    """Yield the run directories that `root` is or holds, in order; nothing if it is not a folder.

    Those below it that were set aside, since their data have changed, are passed over.
    """
    for folder, names, _ in os.walk(root):
        here = RunDirectory(Path(folder))
        if here.holds_run:
            names.clear()
            yield here.root
        names[:] = sorted(name for name in names if not (name.startswith(".") or _STALE.search(name)))
