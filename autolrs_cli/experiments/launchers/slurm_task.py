"""The process that SLURM runs for each job of an array: `python -m ...slurm_task FOLDER NUMBER`.

SLURM signals it before the time limit, at a preemption, at `scancel` and `scontrol requeue`. The run then writes its
checkpoint, and the job goes back into the queue, unless SLURM is ending or requeuing it already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import Surroundings, carry_out, note_end, was_taken_away
from autolrs_cli.signals import handling

# The disk is shared by many jobs, and after a node's failure the locks of its runs are let go of late.
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 180.0
# Bash's for a process killed by SIGTERM is 143; this one is nobody's.
QUEUED_AGAIN = 85


def main(files: SweepFiles, number: int) -> int:
    """Make the run; return the exit code of the job."""
    # A step of one process is no place of a run that shares its batches among several.
    os.environ.pop("SLURM_PROCID", None)
    heard: list[int] = []
    with handling(lambda signal, _: heard.append(signal)):
        here = Surroundings(lambda: bool(heard), {}, POLL_SECONDS, PATIENCE_SECONDS)
        ended = carry_out(files, number, here)
        if was_taken_away(files, ended) and _goes_back():
            return QUEUED_AGAIN
        note_end(files, number, ended)
    return 0 if ended is None or ended.code is None else abs(ended.code)


def _goes_back() -> bool:
    """Put this job back into the queue, unless SLURM is at it; tell whether its run may go on in another.

    A job that SLURM is ending is left without a result: who watches sees whether it comes back.
    """
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    state = _say("squeue", "--noheader", "--format=%T", f"--jobs={job}").stdout.strip()
    if state and state != "RUNNING":
        return True
    return _say("scontrol", "requeue", job).returncode == 0


def _say(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    return done


if __name__ == "__main__":
    sys.exit(main(SweepFiles(Path(sys.argv[1])), int(sys.argv[2])))
