"""What the processes of one sweep tell each other, as files: so it works on every launcher that shares a disk.

<dir>/.sweep/<time>-<process>/     one command; removed when the sweep is done
  jobs.json                        the runs that are to be started, and how
  stop                             present: start nothing more, and end what runs
  results/<job>.json               how the process of a run ended
  logs/<job>.log                   what it printed
  launcher.log                     what Hydra's launcher printed
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from autolrs_cli.durable import replace_whole
from autolrs_cli.experiments.sweep.jobs import Job


@dataclass(frozen=True)
class StopMessage:
    """A request to end all runs of the sweep."""

    signal: str
    """The name of the signal that the runs get; after it they write a checkpoint and leave."""
    times: int
    """How often they get it: a second SIGINT makes a run leave at once; at the third they are killed."""


@dataclass(frozen=True)
class Ended:
    """How the process of a run ended."""

    code: int | None
    """Its exit code, negative for a signal; None: it was not started, since another process works on the run."""
    seconds: float


class SweepFiles:
    """The folder of one command.

    Args:
        folder: exists once `create` was called.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher_log = folder / "launcher.log"
        self._jobs = folder / "jobs.json"
        self._stop = folder / "stop"

    @classmethod
    def create(cls, parent: Path, jobs: Sequence[Job], *, fail_fast: bool) -> SweepFiles:
        """Make a folder of its own for this command below `parent`, the sweep's directory.

        Raises:
            OSError: if it cannot be written.
        """
        name = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}"
        files = cls(parent.resolve() / ".sweep" / name)
        for inner in ("results", "logs"):
            (files.folder / inner).mkdir(parents=True)
        plan = {"jobs": [job.to_json() for job in jobs], "fail_fast": fail_fast, "cwd": str(Path.cwd())}
        replace_whole(files._jobs, orjson.dumps(plan))
        return files

    def plan(self) -> tuple[list[Job], bool, str]:
        """Return the runs to be started, whether the first failure ends the sweep, and the folder to work in."""
        plan = orjson.loads(self._jobs.read_bytes())
        jobs = [Job(**{**job, "arguments": tuple(job["arguments"])}) for job in plan["jobs"]]
        return jobs, plan["fail_fast"], plan["cwd"]

    def stop(self) -> StopMessage | None:
        """Return the request to stop, if there is one."""
        with suppress(OSError, ValueError):
            return StopMessage(**orjson.loads(self._stop.read_bytes()))
        return None

    def ask_to_stop(self, signal: str, times: int = 1) -> None:
        """Ask every process of the sweep to end its run."""
        with suppress(OSError):
            replace_whole(self._stop, orjson.dumps(asdict(StopMessage(signal, times))))

    def log(self, job: int) -> Path:
        """Return where the process of a run prints to."""
        return self.folder / "logs" / f"{job}.log"

    def note_end(self, job: int, ended: Ended) -> None:
        """Write down how the process of a run ended."""
        replace_whole(self._result(job), orjson.dumps(asdict(ended)))

    def ended(self, job: int) -> Ended | None:
        """Return how the process of a run ended; None: it has not, or never began."""
        with suppress(OSError, ValueError):
            return Ended(**orjson.loads(self._result(job).read_bytes()))
        return None

    def unfinished(self, done: Set[str]) -> bool:
        """Tell whether this command was to start a run that is not among the `done` run directories."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            return any(job.root not in done for job in self.plan()[0])
        return True

    def _result(self, job: int) -> Path:
        return self.folder / "results" / f"{job}.json"


def forget_finished(parent: Path, done: Set[str]) -> None:
    """Drop the folders below `parent` of commands, killed ones too, whose runs are all done.

    Args:
        parent: the sweep's directory.
        done: run directories, as the jobs name them.
    """
    folders = parent / ".sweep"
    for folder in folders.glob("*"):
        if not SweepFiles(folder).unfinished(done):
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folders.rmdir()
