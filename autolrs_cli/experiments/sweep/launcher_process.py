"""The process in which Hydra's launcher runs the jobs of a sweep.

Started by `autolrs sweep` as python -m autolrs_cli.experiments.sweep.launcher_process FOLDER OVERRIDES. It has a
session of its own, away from the terminal: Ctrl-C reaches `autolrs sweep` alone, which asks the jobs to stop through a
file. What a launcher prints goes to a log, and a launcher that crashes takes no display along.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import hydra

from autolrs_cli.compose.hydra_app import FULL_ERROR
from autolrs_cli.compose.hydra_errors import explain
from autolrs_cli.compose.hydra_search_path import register_user_configs
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.sweep.job_process import POLL_SECONDS, run_job
from autolrs_cli.experiments.sweep.mailbox import SweepFiles


def main(files: SweepFiles, overrides: list[str]) -> int:
    """Launch the jobs; return once all have ended.

    Args:
        files: of the sweep.
        overrides: Hydra's command line, with -m and the numbers of the jobs.
    """
    threading.Thread(target=_stop_with_the_parent, args=(files, os.getppid()), daemon=True).start()
    register_user_configs()  # Hydra composes the first job here, too
    sys.argv = ["autolrs", *overrides]
    os.environ[FULL_ERROR] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://autolrs_configs", config_name="train")(run_job)()
    except Exception as error:
        sys.stderr.write(f"error: {explain(error, overrides)}\n")
        return ExitCode.USAGE
    return ExitCode.DONE


def _stop_with_the_parent(files: SweepFiles, parent: int) -> None:
    """Ask the jobs to stop if `autolrs sweep` is killed: nobody would know of them."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    files.ask_to_stop("SIGTERM")


if __name__ == "__main__":
    sys.exit(main(SweepFiles(Path(sys.argv[1])), sys.argv[2:]))
