"""The settings of the group `launcher`, and the launcher that they choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from autolrs_cli.settings import Section
from autolrs_cli.values import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt


def _share_or_whole(value: float) -> float:
    if value < 1 or value == int(value):
        return value
    raise ValueError("be a share of one device, or a whole number of them")


Devices = Annotated[NonNegativeFloat, AfterValidator(_share_or_whole)]


class LocalSettings(Section):
    """`launcher=local`: on this machine."""

    name: Literal["local"]
    jobs: PositiveInt | None
    """Runs at once; null: one, or with `gpus` as many as fit."""
    gpus: Annotated[PositiveFloat, AfterValidator(_share_or_whole)] | None
    """CUDA devices for each run; less than 1: several runs share one; null: each sees all."""


class SlurmSettings(Section):
    """`launcher=slurm`: an array of SLURM jobs."""

    name: Literal["slurm"]
    partition: Annotated[str, Field(min_length=1)] | None
    """null: SLURM's default."""
    jobs: PositiveInt | None
    """Runs at once; null: as many as SLURM starts."""
    cpus: PositiveInt
    """For each run."""
    gpus: NonNegativeInt | Annotated[str, Field(min_length=1)]
    """For each run: a number, or type and number, a100:1."""
    memory_gb: PositiveFloat | None
    """For each run; null: SLURM's default."""
    hours: PositiveFloat | None
    """Time limit of a job, after which the run goes on in the next; null: the partition's."""
    stop_seconds: PositiveInt
    """Before that limit a run is asked to write its checkpoint."""
    options: list[str]
    """More options for sbatch."""


class RaySettings(Section):
    """`launcher=ray`: tasks of Ray Core."""

    name: Literal["ray"]
    address: Annotated[str, Field(min_length=1)] | None
    """Of a cluster; null: that of RAY_ADDRESS, else a Ray of its own that ends with the command."""
    jobs: PositiveInt | None
    """Runs at once; null: as many as there is room for."""
    cpus: NonNegativeFloat
    """Set aside for each run."""
    gpus: Devices
    """Likewise; less than 1: several runs share one."""
    retries: NonNegativeInt
    """How often a run goes on elsewhere after its worker or node was lost."""


SETTINGS: Mapping[str, type[Section]] = {
    "local": LocalSettings,
    "slurm": SlurmSettings,
    "ray": RaySettings,
}
Settings = LocalSettings | SlurmSettings | RaySettings
Given = Mapping[str, Any]
"""The group as it was composed."""
