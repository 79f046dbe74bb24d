"""Which of several processes this one is, as torchrun and srun say it."""

from __future__ import annotations

import pytest

from autolrs_cli.errors import ConfigError
from autolrs_cli.ranks.place import Place, first_host, place_given, with_processes

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "1234",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
SRUN = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "2",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "0",
    "SLURM_NNODES": "2",
    "SLURM_STEP_NODELIST": "node[08-09]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


def test_torchrun_says_it() -> None:
    assert place_given(TORCHRUN) == Place(3, 4, 1, 2, "node1", 1234, True, "2")


def test_srun_says_it() -> None:
    place = place_given(SRUN)
    assert place is not None
    assert (place.rank, place.size, place.local_rank, place.local_size) == (2, 4, 0, 2)
    assert place.address == "node08"
    others = {place_given({**SRUN, "SLURM_PROCID": str(rank)}) for rank in range(4)}
    assert len({(other.address, other.port) for other in others if other}) == 1


@pytest.mark.parametrize(
    "env",
    [
        {},
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "1"},
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        {name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"},  # a batch script
        {**SRUN, "SLURM_STEP_ID": str(0xFFFFFFFB)},  # a batch script, as a step of SLURM's own
    ],
)
def test_others_are_alone(env: dict[str, str]) -> None:
    assert place_given(env) is None


def test_two_tasks_need_no_more_than_their_numbers() -> None:
    place = place_given({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"})
    assert place is not None
    assert (place.rank, place.size, place.local_size, place.address) == (1, 2, 2, "127.0.0.1")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a,b", "a"), ("a[3,5],b", "a3"), ("gpu-[001-004]", "gpu-001"), ("single", "single")],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


@pytest.mark.parametrize("env", [{"RANK": "x", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}])
def test_nonsense_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="RANK"):
        place_given(env)


def test_the_configuration_says_how_many_were_started() -> None:
    place = place_given(TORCHRUN)
    assert with_processes({"runtime": {"processes": 1}}, place)["runtime"]["processes"] == 4
    assert with_processes({"runtime": {"processes": 4}}, place)["runtime"]["processes"] == 4
    with pytest.raises(ConfigError, match=r"runtime.processes=3 and 4 processes"):
        with_processes({"runtime": {"processes": 3}}, place)
