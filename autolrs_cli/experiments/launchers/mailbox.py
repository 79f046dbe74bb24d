"""What the processes of one experiment tell each other, as files: so it works on every launcher that shares a disk.

<dir>/.sweep/<time>-<process>/     one command; removed when the sweep is done
  jobs.json                        the runs that are to be started, and how
  stop                             present: start nothing more, and end what runs
  results/<job>.json               how the process of a run ended
  logs/<job>.log                   what it printed
  launcher.log                     what the launcher printed; on SLURM launcher-<job>.log
  array.sh                         on SLURM: what sbatch was given
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
from autolrs_cli.experiments.launchers.job import Job


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
    reason: str = ""
    """Why nothing is known of its end, where its launcher has lost it."""


@dataclass(frozen=True)
class LaunchPlan:
    """What the processes that start the runs of one command need to know."""

    jobs: list[Job]
    fail_fast: bool
    """Whether the first failure ends all."""
    cwd: str
    """The folder to work in."""


class SweepFiles:
    """The folder of one command.

    Args:
        folder: exists once `create` was called.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher_log = folder / "launcher.log"
        self.array_script = folder / "array.sh"
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

    def plan(self) -> LaunchPlan:
        """Return the runs to be started, and how."""
        plan = orjson.loads(self._jobs.read_bytes())
        jobs = [Job(**{**job, "arguments": tuple(job["arguments"])}) for job in plan["jobs"]]
        return LaunchPlan(jobs, plan["fail_fast"], plan["cwd"])

    def places(self) -> dict[Path, int]:
        """Return the run directories of the runs to be started, resolved, each with the number of its job."""
        plan = self.plan()
        return {Path(plan.cwd, job.root).resolve(): number for number, job in enumerate(plan.jobs)}

    def open_places(self) -> set[Path]:
        """Return those of them of whose end nothing is written down."""
        return {place for place, number in self.places().items() if self.ended(number) is None}

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

    def note_lost(self, job: int, reason: str) -> None:
        """Write down that a run's launcher has lost it, unless its end is known or nobody wants to know any more."""
        with suppress(OSError):
            if self.folder.exists() and not self._result(job).exists():
                self.note_end(job, Ended(None, 0.0, reason))

    def forget_end(self, job: int) -> None:
        """Drop what is written down of the end of a run's process: it begins anew."""
        self._result(job).unlink(missing_ok=True)

    def ended(self, job: int) -> Ended | None:
        """Return how the process of a run ended; None: it has not, or never began."""
        with suppress(OSError, ValueError):
            return Ended(**orjson.loads(self._result(job).read_bytes()))
        return None

    def unfinished(self, done: Set[Path]) -> bool:
        """Tell whether this command was to start a run that is not among the `done` run directories (resolved).

        A batch system's jobs begin by reading its files, and are not forgotten before they have.
        """
        with suppress(OSError, ValueError, TypeError, KeyError):
            return not self.places().keys() <= done or (
                self.array_script.exists() and bool(self.open_places())
            )
        return True

    def task_log(self, job: str) -> Path:
        """Return where SLURM's job of a run prints to; `%a` in place of the number is SLURM's word for it."""
        return self.folder / f"launcher-{job}.log"

    @property
    def was_begun(self) -> bool:
        """Whether the launcher, or one of its runs, has printed something that tells why it failed."""
        return self.launcher_log.exists() or any((self.folder / "logs").iterdir())

    def discard(self) -> None:
        """Remove the folder: nothing was started."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _result(self, job: int) -> Path:
        return self.folder / "results" / f"{job}.json"


def folders_of(parent: Path) -> list[SweepFiles]:
    """Return the folders of all commands below `parent`, the sweep's directory, that are still there."""
    return [SweepFiles(folder) for folder in sorted((parent.resolve() / ".sweep").glob("*"))]


def forget_finished(parent: Path, done: Set[Path]) -> None:
    """Drop the folders below `parent` of commands, killed ones too, whose runs are all done.

    Args:
        parent: the sweep's directory.
        done: run directories, resolved.
    """
    for files in folders_of(parent):
        if not files.unfinished(done):
            files.discard()
    with suppress(OSError):
        (parent / ".sweep").rmdir()
