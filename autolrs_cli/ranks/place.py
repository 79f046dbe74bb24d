"""Which of several processes this one is, as torchrun, srun or the process that started it says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autolrs_cli.errors import ConfigError

# Where torch's own examples meet, if nothing is said.
_USUAL_PORT = 29500
_SLURM_PORTS = range(20_000, 30_000)
# Steps with such numbers are SLURM's own: of a batch script, and of an interactive shell.
_OWN_STEPS = range(0xFFFFFFF0, 0x100000000)
_AGENT = "TORCHELASTIC_USE_AGENT_STORE"


@dataclass(frozen=True)
class Place:
    """One of several processes."""

    rank: int
    size: int
    local_rank: int = 0
    """Among those on this machine."""
    local_size: int = 1
    address: str = "127.0.0.1"
    """Where all meet."""
    port: int = _USUAL_PORT
    held_by_agent: bool = False
    """Whether torchrun holds the board that they share; else rank 0 does."""
    attempt: str = "0"
    """Which start of the processes by torchrun it is."""


def place_given(env: Mapping[str, str] = os.environ) -> Place | None:
    """Return the place that the environment gives this process; None: it is alone.

    Raises:
        ConfigError: if what is said there makes no sense.
    """
    place = _of_torchrun(env) if {"RANK", "WORLD_SIZE"} <= env.keys() else _of_slurm(env)
    return None if place is None or place.size == 1 else place


def with_processes(config: dict[str, Any], place: Place | None) -> dict[str, Any]:
    """Return a resolved configuration that says how many processes there are.

    Raises:
        ConfigError: if it says another number than the one that were started.
    """
    if place is None:
        return config
    runtime = dict(config["runtime"])
    if runtime.get("processes", 1) not in (1, place.size):
        raise ConfigError(
            f"`runtime.processes` must be the number of processes that were started, but got "
            f"runtime.processes={runtime['processes']} and {place.size} processes. Leave it out, or start as many."
        )
    return {**config, "runtime": {**runtime, "processes": place.size}}


def _of_torchrun(env: Mapping[str, str]) -> Place:
    rank, size = _count(env, "RANK"), _count(env, "WORLD_SIZE")
    if not 0 <= rank < size:
        raise ConfigError(
            f"A process must have a rank below the number of processes, but got RANK={rank}, WORLD_SIZE={size}. Mend "
            "the environment, or unset both."
        )
    return Place(
        rank,
        size,
        _count(env, "LOCAL_RANK", rank),
        _count(env, "LOCAL_WORLD_SIZE", size),
        env.get("MASTER_ADDR", "127.0.0.1"),
        _count(env, "MASTER_PORT", _USUAL_PORT),
        env.get(_AGENT) == "True",
        env.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )


def _of_slurm(env: Mapping[str, str]) -> Place | None:
    """Return the task of a job step; None outside of one: what a batch script starts by itself is alone."""
    if not {"SLURM_PROCID", "SLURM_NTASKS"} <= env.keys():
        return None
    if "SLURM_JOB_ID" in env and not {"SLURM_STEP_ID", "SLURM_STEPID"} & env.keys():
        return None
    job, step = _count(env, "SLURM_JOB_ID", 0), _count(env, "SLURM_STEP_ID", _count(env, "SLURM_STEPID", 0))
    if step in _OWN_STEPS:
        return None
    size = _count(env, "SLURM_STEP_NUM_TASKS", _count(env, "SLURM_NTASKS"))
    rank = _count(env, "SLURM_PROCID")
    nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_NODELIST") or ""
    single = _count(env, "SLURM_STEP_NUM_NODES", _count(env, "SLURM_NNODES", 1)) == 1
    per_node = re.match(r"\d+", env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE") or "")
    return Place(
        rank,
        size,
        _count(env, "SLURM_LOCALID", rank),
        size if single or per_node is None else int(per_node[0]),
        env.get("MASTER_ADDR") or ("127.0.0.1" if single else first_host(nodes)),
        _count(env, "MASTER_PORT", _SLURM_PORTS[(job * 7 + step) % len(_SLURM_PORTS)]),
    )


def first_host(nodes: str) -> str:
    """Return the first host of a list as SLURM writes it: node[003-005,9],other."""
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", nodes)
    if found is None:
        raise ConfigError(
            "The processes must know where to meet, but SLURM_STEP_NODELIST is not there. Set MASTER_ADDR to the host "
            "of rank 0."
        )
    return found[1] + (found[2] or "")


def _count(env: Mapping[str, str], name: str, usual: int | None = None) -> int:
    value = env.get(name, "" if usual is None else str(usual))
    if not value.isdecimal():
        raise ConfigError(
            f"{name} must be a whole number, but is {value!r}. Mend the environment, or unset it."
        )
    return int(value)
