"""What a worker of Ray does for one job."""

from __future__ import annotations

from pathlib import Path

from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import (
    Surroundings,
    carry_out,
    note_end,
    orphaned,
    was_taken_away,
)
from autolrs_cli.runner.gpu_share import sharing

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


class TakenAway(Exception):  # noqa: N818 - no error of the run
    """The run was stopped from outside, or another worker is still leaving it: Ray is to try again."""


def run(folder: str, number: int, gpus: float) -> None:
    """Make one run on `gpus` devices.

    Raises:
        TakenAway: if it did not come to its end, though nobody asked the sweep to stop.
    """
    files = SweepFiles(Path(folder))
    here = Surroundings(orphaned(), sharing(gpus), POLL_SECONDS, PATIENCE_SECONDS)
    ended = carry_out(files, number, here)
    if was_taken_away(files, ended) or (ended is not None and ended.code is None):
        raise TakenAway(f"job {number} of {folder}")
    note_end(files, number, ended)
