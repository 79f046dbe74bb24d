"""Launchers that run in a process of their own: one of Hydra's, and Ray."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import KILLED_AT
from autolrs_cli.experiments.launchers.settings import RaySettings
from autolrs_cli.experiments.own_process import environment, python_module
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.wording import quoted

KEY = "autolrs_sweep"
"""The key under which the configuration of Hydra's launcher says which job of which sweep."""
_HYDRA = "autolrs_cli.experiments.launchers.hydra_process"
_RAY = "autolrs_cli.experiments.launchers.ray_process"


class HydraLauncher:
    """One of Hydra's launchers.

    Args:
        overrides: those of the command line that are for Hydra itself.
    """

    can_be_left = False

    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = overrides

    def under_way(self, _: Path) -> Sequence[SweepFiles]:
        """Return nothing: its runs end with their command."""
        return ()

    def start(self, files: SweepFiles | None, _: Sequence[SweepFiles]) -> ChildRuns:
        """Begin the runs."""
        assert files is not None
        return ChildRuns(
            "Hydra's launcher", files, python_module(_HYDRA, str(files.folder), *self._arguments(files))
        )

    def _arguments(self, files: SweepFiles) -> list[str]:
        """Return Hydra's command line for the launcher, in which the numbers of the jobs are the only several values.

        The rest is the first job's, so that what its configuration says of launchers holds.
        """
        jobs = files.plan().jobs
        arguments = jobs[0].arguments
        config_dir = list(arguments[: 2 * (arguments[0] == "--config-dir")])
        return [
            *arguments[len(config_dir) :],
            f"hydra.sweep.dir={quoted(str(files.folder / 'launcher'))}",
            *self._overrides,
            f"+{KEY}.folder={quoted(str(files.folder))}",
            f"+{KEY}.job={','.join(str(number) for number in range(len(jobs)))}",
            *config_dir,
            "-m",
        ]


class RayLauncher:
    """Tasks of Ray Core.

    Args:
        settings: of the group `launcher`.
    """

    can_be_left = False

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings

    def under_way(self, _: Path) -> Sequence[SweepFiles]:
        """Return nothing: its runs end with their command."""
        return ()

    def start(self, files: SweepFiles | None, _: Sequence[SweepFiles]) -> ChildRuns:
        """Begin the runs.

        Raises:
            ConfigError: if Ray is not installed.
        """
        assert files is not None
        if find_spec("ray") is None:
            raise ConfigError(
                "launcher=ray needs Ray, but it is not installed. Type pip install 'autolrs[ray]', or choose another "
                "launcher."
            )
        return ChildRuns(
            "Ray", files, python_module(_RAY, str(files.folder), self._settings.model_dump_json())
        )


class ChildRuns:
    """Runs of one command that a process of its own starts, away from the terminal.

    Args:
        name: of the launcher, for a person.
        files: of the command.
        command: starts the process.
    """

    def __init__(self, name: str, files: SweepFiles, command: Sequence[str]) -> None:
        self._name = name
        self._files = files
        with files.launcher_log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def goes_on(self) -> bool:
        """Tell whether the process lives."""
        return self._process.poll() is None

    def notes(self) -> Mapping[str, str]:
        """Return nothing: the launcher does not say what it waits for."""
        return {}

    def stop(self, times: int) -> None:
        """Kill the launcher, if it does not end when its runs are killed."""
        if times > KILLED_AT:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def problem(self) -> str | None:
        """Return why the launcher itself failed."""
        code = self._process.returncode
        if not code:
            return None
        reason = last_words(self._files.launcher_log) or f"exit code {code}"
        return f"{self._name} must run the jobs, but it failed: {reason} What it printed: {self._files.launcher_log}"
