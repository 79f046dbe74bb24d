"""The process that hands the jobs of a command to Ray Core: `python -m ...ray_process FOLDER SETTINGS`.

It has a session of its own, like that of Hydra's launchers. Each job is a task whose worker watches the run. A lost
worker, a lost node and a run that was stopped with them are all retried by Ray, elsewhere if need be.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import orjson

from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers import ray_task
from autolrs_cli.experiments.launchers.mailbox import Ended, SweepFiles
from autolrs_cli.experiments.launchers.settings import RaySettings
from autolrs_cli.experiments.launchers.with_parent import stop_with_the_parent
from autolrs_cli.experiments.own_process import WATCHED
from autolrs_cli.runner.gpu_share import VARIABLE
from autolrs_cli.settings import parse

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
# Of the variables that decide what a run is, reads or tells; workers have those of `ray start`.
_HANDED_ON = (
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "AUTOLRS_",
    "HF_",
    "MLFLOW_",
    "WANDB_",
    "CUBLAS_WORKSPACE_CONFIG",
)
_OWN = (WATCHED, VARIABLE)


def main(files: SweepFiles, settings: RaySettings) -> int:
    """Hand out the jobs; return once all have ended."""
    import ray

    stop_with_the_parent(files)
    _connect(settings)
    task = ray.remote(
        num_cpus=settings.cpus,
        num_gpus=settings.gpus,
        max_retries=settings.retries,
        retry_exceptions=[ray_task.TakenAway],
    )(ray_task.run)
    todo = list(range(len(files.plan().jobs)))[::-1]
    running: dict[Any, int] = {}
    while todo or running:
        while todo and (settings.jobs is None or len(running) < settings.jobs):
            number = todo.pop()
            running[task.remote(str(files.folder), number, settings.gpus)] = number
        ended, _ = ray.wait(list(running), timeout=LOOK_SECONDS)
        for each in ended:
            _note_lost(files, running.pop(each), each)
        if files.stop() is not None:  # those that have not begun need not wait for room to learn it
            todo.clear()
            for each in [task for task, number in running.items() if not files.log(number).exists()]:
                ray.cancel(each)
                del running[each]
    ray.shutdown()
    return ExitCode.DONE


def _connect(settings: RaySettings) -> None:
    import ray

    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    _require_answer(address)
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    handed_on = {
        name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON) and name not in _OWN
    }
    try:
        ray.init(address, log_to_driver=False, runtime_env={"env_vars": handed_on}, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"There must be a Ray to run on, but at launcher.address={address} there is none: {error}"
        ) from error
    if address == "local":
        _require_room(settings)


def _require_answer(address: str) -> None:
    """Refuse an address at which nobody is, which Ray itself tries for minutes.

    Raises:
        ConfigError: then.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"There must be a Ray to run on, but at launcher.address={address} nobody answers: {error}. Start one, or "
            "leave launcher.address out."
        ) from error


def _require_room(settings: RaySettings) -> None:
    """Refuse what would wait for ever; a cluster may grow, but this machine does not."""
    import ray

    there = ray.cluster_resources()
    for name, wanted in (("CPU", settings.cpus), ("GPU", settings.gpus)):
        most = there.get(name, 0.0)
        if wanted > most:
            raise ConfigError(
                f"There must be room for a run, but launcher.{name.lower()}s={wanted:g} and there are {most:g} here. "
                f"Set launcher.{name.lower()}s, or launcher.address."
            )


def _note_lost(files: SweepFiles, number: int, task: Any) -> None:
    """Write down the end of a run whose task failed for good."""
    import ray

    try:
        ray.get(task)
    except ray.exceptions.RayError as error:
        if files.stop() is None and files.ended(number) is None:
            files.note_end(number, Ended(None, 0.0, f"Ray gave it up: {str(error).strip().splitlines()[-1]}"))


if __name__ == "__main__":
    try:
        sys.exit(
            main(SweepFiles(Path(sys.argv[1])), parse(RaySettings, orjson.loads(sys.argv[2]), "launcher"))
        )
    except ConfigError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(ExitCode.USAGE)
