"""`launcher=slurm`: one array of jobs that put themselves back into the queue until their run has ended.

Nothing but sbatch, squeue and scancel is needed, no accounting: what became of a run is read from its files, and that
a job is lost from its absence in the queue. An array bears the name of its command's folder, by which a command typed
again finds it.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.mailbox import SweepFiles, folders_of
from autolrs_cli.experiments.launchers.run_process import KILLED_AT
from autolrs_cli.experiments.launchers.settings import SlurmSettings
from autolrs_cli.experiments.own_process import environment, python_module
from autolrs_cli.experiments.process_log import last_words

LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
_TASK = "autolrs_cli.experiments.launchers.slurm_task"
SCRIPT = """\
#!/bin/sh
{options}
# A step, since SLURM signals a preempted job's steps alone; this shell waits for what the step makes of it.
trap '' TERM
srun --ntasks=1 --cpus-per-task={cpus} --mpi=none --input=none --export=ALL \\
    {command} "$SLURM_ARRAY_TASK_ID"
"""


class SlurmLauncher:
    """An array of SLURM jobs for each command.

    Args:
        settings: of the group `launcher`.
    """

    can_be_left = True

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings

    def under_way(self, directory: Path) -> Sequence[SweepFiles]:
        """Return the earlier commands of which SLURM still has jobs.

        Raises:
            ConfigError: if SLURM does not answer.
        """
        folders = folders_of(directory)
        queued = {place.array for place in queue()} if folders else set()
        return [files for files in folders if files.folder.name in queued and files.open_places()]

    def start(self, files: SweepFiles | None, earlier: Sequence[SweepFiles]) -> SlurmRuns:
        """Submit the array.

        Raises:
            ConfigError: if SLURM does not take it, with its own words.
        """
        if files is not None:
            files.array_script.write_text(self._script(files), encoding="utf-8")
            # What an interactive job says of itself is not true of this one.
            own = {k: v for k, v in environment().items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
            _asked("sbatch", "--export=ALL", str(files.array_script), env=own)
        return SlurmRuns([*earlier, *([files] if files is not None else [])])

    def _script(self, files: SweepFiles) -> str:
        """Return what sbatch is given."""
        given, count = self._settings, len(files.plan().jobs)
        minutes = None if given.hours is None else math.ceil(given.hours * 60)
        options = {
            "job-name": files.folder.name,
            "array": f"0-{count - 1}" + (f"%{given.jobs}" if given.jobs else ""),
            "output": files.task_log("%a"),
            "open-mode": "append",
            "requeue": None,
            "ntasks": 1,
            "cpus-per-task": given.cpus,
            **({"partition": given.partition} if given.partition else {}),
            **({"gres": f"gpu:{given.gpus}"} if given.gpus else {}),
            **({"mem": f"{math.ceil(given.memory_gb * 1024)}M"} if given.memory_gb else {}),
            **({"time": minutes} if minutes else {}),
            "signal": f"TERM@{min(given.stop_seconds, 30 * minutes) if minutes else given.stop_seconds}",
        }
        words = [f"--{key}" if value is None else f"--{key}={value}" for key, value in options.items()]
        return SCRIPT.format(
            options="\n".join(f"#SBATCH {shlex.quote(word)}" for word in [*words, *given.options]),
            cpus=given.cpus,
            command=shlex.join(python_module(_TASK, str(files.folder))),
        )


@dataclass(frozen=True)
class Place:
    """One job of an array in the queue."""

    array: str
    number: int
    state: str
    reason: str


class SlurmRuns:
    """Runs that SLURM has, of one command or several.

    Args:
        arrays: the commands.
    """

    def __init__(self, arrays: Sequence[SweepFiles]) -> None:
        self._jobs = {
            (files.folder.name, number): (files, place)
            for files in arrays
            for place, number in files.places().items()
        }
        self._arrays = arrays
        self._missing: set[tuple[str, int]] = set()
        self._emptied: set[str] = set()
        self._notes: dict[str, str] = {}
        self._look_at = 0.0

    def goes_on(self) -> bool:
        """Tell whether a run is still to end; what SLURM has lost has ended."""
        if self._jobs and time.monotonic() >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + LOOK_SECONDS
        return bool(self._jobs)

    def notes(self) -> Mapping[str, str]:
        """Return what jobs wait for in the queue, in SLURM's words."""
        return self._notes

    def stop(self, times: int) -> None:
        """Take out of the queue what waits there; in the end, everything."""
        self._empty([files.folder.name for files in self._arrays], times)

    def _empty(self, arrays: Sequence[str], times: int) -> None:
        only = [] if times > KILLED_AT else ["--state=PENDING"]
        for name in arrays:
            self._emptied.add(name)
            _asked_patiently("scancel", *only, f"--name={name}")
        self._look_at = 0.0

    def problem(self) -> str | None:
        """Return nothing: a job that was lost has that written down as its end."""
        return None

    def _look(self) -> None:
        """Bring what is known up to date; a job that is twice neither ended nor in the queue is lost."""
        try:
            places = {(place.array, place.number): place for place in queue()}
        except ConfigError as error:
            self._notes = {"": str(error)}
            return
        self._jobs = {key: each for key, each in self._jobs.items() if each[0].ended(key[1]) is None}
        # A run failed, with --fail-fast; each command asked for its own runs alone.
        stopped = [files.folder.name for files in self._arrays if files.stop()]
        self._empty([name for name in stopped if name not in self._emptied], 1)
        gone = self._jobs.keys() - places.keys()
        for key in gone & self._missing:
            files, _ = self._jobs.pop(key)
            files.note_lost(key[1], _why_lost(files, key[1]))
        self._missing = gone
        self._notes = {
            str(place): f"queued: {places[key].reason}"
            for key, (_, place) in self._jobs.items()
            if key in places and places[key].state == "PENDING"
        }


def queue() -> list[Place]:
    """Return all jobs of this person's arrays that SLURM has.

    Raises:
        ConfigError: if it does not answer.
    """
    lines = _asked("squeue", "--me", "--array", "--noheader", "--format=%j|%K|%T|%r").splitlines()
    fields = [line.split("|") for line in lines]
    return [
        Place(each[0], int(each[1]), *each[2:]) for each in fields if len(each) == 4 and each[1].isdigit()
    ]


def _why_lost(files: SweepFiles, number: int) -> str:
    if files.stop() is not None:
        return ""
    log = files.task_log(str(number))
    said = last_words(log)
    return f"SLURM has no job for it any more{f': {said}' if said else ''} (cancelled, or its node failed?)"


def _asked(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Return what one of SLURM's commands prints.

    Raises:
        ConfigError: if there is none, it fails, or does not answer.
    """
    try:
        done = subprocess.run(
            command,
            env=os.environ if env is None else env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError(
            f"launcher=slurm needs SLURM's commands, but there is no {command[0]} here. Type this on a machine that "
            "submits jobs, or choose another launcher."
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"SLURM must answer, but {command[0]} does not. Try again later.") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(f"SLURM must take what it is told, but refuses: {said}")
    return done.stdout


def _asked_patiently(*command: str) -> None:
    """Ask, and leave it where nobody answers: what is in the queue reads the request to stop once it begins."""
    try:
        _asked(*command)
    except ConfigError:
        return
