"""The process in which Hydra's launcher runs the jobs of a sweep.

Started by `autolrs sweep` as python -m autolrs_cli.experiments.launchers.hydra_process FOLDER OVERRIDES. It has a
session of its own, away from the terminal: Ctrl-C reaches `autolrs sweep` alone, which asks the jobs to stop through a
file. What a launcher prints goes to a log, and a launcher that crashes takes no display along.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from autolrs_cli.compose.hydra_app import FULL_ERROR
from autolrs_cli.compose.hydra_errors import explain
from autolrs_cli.compose.hydra_search_path import register_user_configs
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.child import KEY
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import Surroundings, carry_out, note_end, orphaned
from autolrs_cli.experiments.launchers.with_parent import stop_with_the_parent


def main(files: SweepFiles, overrides: list[str]) -> int:
    """Launch the jobs; return once all have ended.

    Args:
        files: of the sweep.
        overrides: Hydra's command line, with -m and the numbers of the jobs.
    """
    stop_with_the_parent(files)
    register_user_configs()  # Hydra composes the first job here, too
    sys.argv = ["autolrs", *overrides]
    os.environ[FULL_ERROR] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://autolrs_configs", config_name="train")(run_job)()
    except Exception as error:
        composing = isinstance(error, HydraException | OmegaConfBaseException)
        said = explain(error, overrides) if composing else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"error: {said}\n")
        return ExitCode.USAGE
    return ExitCode.DONE


def run_job(config: DictConfig) -> None:
    """Run one job; called by Hydra's launcher, in whatever process and on whatever machine it likes.

    Args:
        config: `autolrs_sweep.folder` and `autolrs_sweep.job`; the rest is not read.
    """
    files, number = SweepFiles(Path(str(config[KEY].folder))), int(config[KEY].job)
    # A worker whose launcher has died stops its own run; the others may have a place that lives.
    note_end(files, number, carry_out(files, number, Surroundings(orphaned())))


if __name__ == "__main__":
    sys.exit(main(SweepFiles(Path(sys.argv[1])), sys.argv[2:]))
