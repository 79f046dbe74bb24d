"""What an experiment asks of a launcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from autolrs_cli.experiments.launchers.mailbox import SweepFiles


class Launched(Protocol):
    """Runs that a launcher has taken over."""

    def goes_on(self) -> bool:
        """Tell whether one of them may still end; asked several times a second."""

    def notes(self) -> Mapping[str, str]:
        """Return what a person should know of runs that wait, by run directory; "" for all of them."""

    def stop(self, times: int) -> None:
        """Do what is to be done beside the request in their files, after it was made so many times."""

    def problem(self) -> str | None:
        """Return what went wrong with the launcher itself, once nothing goes on."""


class Launcher(Protocol):
    """A place where runs are made."""

    @property
    def can_be_left(self) -> bool:
        """Whether the runs go on without the command that started them."""

    def under_way(self, directory: Path) -> Sequence[SweepFiles]:
        """Return the earlier commands in a sweep's directory whose runs are still with this launcher.

        Raises:
            ConfigError: if it cannot be asked.
        """

    def start(self, files: SweepFiles | None, earlier: Sequence[SweepFiles]) -> Launched:
        """Take over the runs of a command, None for none, and watch those of earlier ones besides.

        Raises:
            ConfigError: if it cannot.
        """
