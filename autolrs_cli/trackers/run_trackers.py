"""The trackers that a run's settings name, each fed by a thread of its own."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import MLflowSettings, TensorBoardSettings, TrackerSettings, WandbSettings
from autolrs_cli.trackers.feed import Feed, Tracker
from autolrs_cli.trackers.mlflow_run import MLflowRun
from autolrs_cli.trackers.points import Record
from autolrs_cli.trackers.tensorboard_files import TensorBoardFiles
from autolrs_cli.trackers.wandb_run import WandbRun

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
# What these libraries would send home by themselves; a person who has set them decides.
PRIVATE = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}
# For what is still to be written when the run is over; a second Ctrl-C waits for less.
PATIENCE_SECONDS, IMPATIENCE_SECONDS = 30.0, 2.0


class Trackers:
    """Let the chosen trackers follow a run; a context manager around it.

    Args:
        settings: which, and how.
        root: the run directory.
        config: the run's resolved configuration.
        say: told a line once for each tracker that stops early.
    """

    def __init__(
        self,
        settings: TrackerSettings,
        root: Path,
        config: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self._make = {name: (each, root, config) for name, each in settings.chosen.items()}
        self._journal, self._say = root / "journal.jsonl", say
        self._feeds: list[Feed] = []

    @staticmethod
    def require(settings: TrackerSettings) -> None:
        """Import the libraries that the trackers need, in the main thread and before anything is trained.

        Raises:
            ConfigError: naming each one that cannot be imported, and how to install it.
        """
        problems = []
        for variable, value in PRIVATE.items() if settings.chosen else ():
            os.environ.setdefault(variable, value)
        for name in settings.chosen:
            try:
                importlib.import_module(MODULES[name])
            except Exception as error:  # a broken installation may raise anything
                problems.append(
                    f"`tracker={name}` needs the library {name}, but it cannot be imported ({error}). "
                    f"Type: pip install 'autolrs[{name}]', or leave tracker={name} out."
                )
        if problems:
            raise ConfigError(problems)

    def show(self, record: Record) -> None:
        """Take a record; returns at once."""
        for feed in self._feeds:
            feed.show(record)

    def conclude(self, summary: Mapping[str, Any]) -> None:
        """Take what the run ended with."""
        for feed in self._feeds:
            feed.conclude(summary)

    def __enter__(self) -> Trackers:
        for name, given in self._make.items():
            try:
                self._feeds.append(Feed(name, _tracker(*given), self._journal, self._warn))
            except Exception as error:  # a broken library must not cost the run
                self._warn(f"tracker={name} could not start ({type(error).__name__}: {error}).")
        return self

    def _warn(self, message: str) -> None:
        self._say(f"warning: {message}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for feed in self._feeds:
            feed.close()
        impatient = kind is not None and issubclass(kind, KeyboardInterrupt)
        until = time.monotonic() + (IMPATIENCE_SECONDS if impatient else PATIENCE_SECONDS)
        for feed in self._feeds:
            feed.wait(until)


def _tracker(
    settings: TensorBoardSettings | WandbSettings | MLflowSettings, root: Path, config: Mapping[str, Any]
) -> Tracker:
    if isinstance(settings, TensorBoardSettings):
        return TensorBoardFiles(settings, root, config)
    if isinstance(settings, WandbSettings):
        return WandbRun(settings, root, config)
    return MLflowRun(settings, root, config)
