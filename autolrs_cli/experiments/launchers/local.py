"""`launcher=local`: runs on this machine, watched by threads of the command that started them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from queue import SimpleQueue

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.mailbox import SweepFiles
from autolrs_cli.experiments.launchers.run_process import Surroundings, carry_out, note_end
from autolrs_cli.experiments.launchers.settings import LocalSettings
from autolrs_cli.runner.gpu_share import sharing

DEVICES = "CUDA_VISIBLE_DEVICES"


class LocalLauncher:
    """Runs on this machine, so many at once.

    Args:
        settings: of the group `launcher`.
    """

    can_be_left = False

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings

    def under_way(self, _: Path) -> Sequence[SweepFiles]:
        """Return nothing: runs here end with their command."""
        return ()

    def start(self, files: SweepFiles | None, _: Sequence[SweepFiles]) -> LocalRuns:
        """Begin the runs.

        Raises:
            ConfigError: if devices are asked for that are not there.
        """
        assert files is not None
        places = places_on(visible_devices(), self._settings.gpus) if self._settings.gpus else []
        at_once = self._settings.jobs or max(1, len(places))
        # More runs at once than there are places share them, as was asked for.
        share = sharing(self._settings.gpus or 1.0)
        own = [{DEVICES: place} | share for place in places] or [{}]
        return LocalRuns(files, list(islice(cycle(own), at_once)))


class LocalRuns:
    """Runs of one command on this machine.

    Args:
        files: of the command.
        places: for each run at once, the environment variables that name its devices; none: it sees all.
    """

    def __init__(self, files: SweepFiles, places: Sequence[Mapping[str, str]]) -> None:
        self._files = files
        self._free: SimpleQueue[Mapping[str, str]] = SimpleQueue()
        for place in places:
            self._free.put(place)
        pool = ThreadPoolExecutor(len(places), "run")
        self._runs: list[Future[None]] = [pool.submit(self._run, n) for n in range(len(files.plan().jobs))]
        pool.shutdown(wait=False)

    def goes_on(self) -> bool:
        """Tell whether a run is still to end."""
        return not all(run.done() for run in self._runs)

    def notes(self) -> Mapping[str, str]:
        """Return nothing: a run that waits here waits for another."""
        return {}

    def stop(self, _: int) -> None:
        """Do nothing: the request in the files is all."""

    def problem(self) -> str | None:
        """Return what kept a run from being watched, a full disk for example."""
        errors = [error for run in self._runs if run.done() and (error := run.exception())]
        return f"A run must be started and watched, but: {errors[0]}" if errors else None

    def _run(self, number: int) -> None:
        place = self._free.get()
        try:
            note_end(self._files, number, carry_out(self._files, number, Surroundings(environment=place)))
        finally:
            self._free.put(place)


def visible_devices() -> list[str]:
    """Return the CUDA devices that this process may use, as they are named in `CUDA_VISIBLE_DEVICES`."""
    import torch

    named = os.environ.get(DEVICES)
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def places_on(devices: Sequence[str], gpus: float) -> list[str]:
    """Return, for each run that can be made at once, the devices that it is to see.

    Args:
        devices: all that there are.
        gpus: for each run; less than 1: a share of one.

    Raises:
        ConfigError: if there is no place for a single run.
    """
    if gpus < 1:
        return [device for _ in range(int(1 / gpus)) for device in devices] or _none(devices, gpus)
    each = int(gpus)
    groups = [devices[at : at + each] for at in range(0, len(devices) - each + 1, each)]
    return [",".join(group) for group in groups] or _none(devices, gpus)


def _none(devices: Sequence[str], gpus: float) -> list[str]:
    raise ConfigError(
        f"A run must find the CUDA devices that it is to have, but there are {len(devices)} here and got "
        f"launcher.gpus={gpus:g}. Set launcher.gpus=null, or fewer."
    )
