"""Jobs of the toy recipe, and settings of launchers, for the tests of both."""

from __future__ import annotations

from pathlib import Path

from processes import USER

from autolrs_cli.experiments.launchers.job import Job

SLURM = {
    "name": "slurm",
    "partition": "gpu",
    "jobs": 2,
    "cpus": 8,
    "gpus": "a100:1",
    "memory_gb": 1.5,
    "hours": 4.0,
    "stop_seconds": 120,
    "options": ["--account=mine"],
}
LOCAL = {"name": "local", "jobs": None, "gpus": None}
LONG = ("run.max_steps=1500", "run.log_every_steps=50", "run.eval_every_steps=750")


def job(root: Path, *overrides: str) -> Job:
    arguments = ("--config-dir", str(USER), "recipe=toy", "schedule=original", *overrides)
    return Job("seed=0", arguments, str(root), "a", "toy demo", 100, "data")
