"""Run directories in a sweep's folder that another version of autolrs made: this one cannot go on with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.records.find_runs import runs_below
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.finished_run import read_config
from autolrs_cli.runner.other_version import made_by, vanished_targets
from autolrs_cli.wording import counted


def of_other_versions(directory: Path, jobs: Sequence[Job]) -> str | None:
    """Return what is to be said of such runs below a sweep's folder; None: there are none.

    They have other ids than the same experiments have now, so a sweep would not know them.
    """
    own = {Path(job.root).absolute() for job in jobs}
    others = [run for run in runs_below(directory) if run.absolute() not in own and _is_of_another(run)]
    if not others:
        return None
    makers = ", ".join(sorted({made_by(RunDirectory(run)) for run in others}))
    some = ", ".join(map(str, others[:3])) + (", ..." if len(others) > 3 else "")
    return (
        f"{directory} holds {counted(len(others), 'run')} made by {makers}, which this version can neither go on "
        f"with nor count as done: {some}. They stay as they are, and the same experiments are run again beside "
        "them. To keep the two apart, set --dir."
    )


def _is_of_another(run: Path) -> bool:
    try:
        return bool(vanished_targets(read_config(RunDirectory(run))))
    except ConfigError:  # no configuration of ours
        return False
