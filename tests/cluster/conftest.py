"""A SLURM of one node and a Ray of two, for as long as the tests run; seen to be skipped where they are not there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

ONE_NODE = Path(__file__).parents[1] / "one_node_slurm.sh"
NEEDED = ("sbatch", "slurmctld", "slurmd", "munged")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What must be in the environment of SLURM's clients."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.getuid():
        pytest.skip(f"needs root and slurm-wlm and munge ({', '.join(missing) or 'not root'})")
    folder = tmp_path_factory.mktemp("slurm")
    ports = {"SLURMCTLD_PORT": str(free_port()), "SLURMD_PORT": str(free_port())}
    start = subprocess.run(
        [str(ONE_NODE), str(folder)],
        env={**os.environ, **ports},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    try:
        if start.returncode:
            pytest.skip(f"SLURM does not start here: see {folder}/log")
        yield {"SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([str(ONE_NODE), str(folder), "stop"], check=True)


@pytest.fixture
def ray_nodes(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a Ray of two nodes, each with room for one run, and what must be in its clients' environment."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray: pip install 'autolrs[ray]'")
    # Its sockets lie there, and their names must be short.
    folder = Path(f"/tmp/autolrs-ray-{os.getpid()}")
    own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "AUTOLRS_TEST_RAY": str(folder)}
    try:
        address = f"{socket.gethostbyname(socket.gethostname())}:{free_port()}"
    except OSError as error:
        pytest.skip(f"a Ray of two nodes needs a host name that resolves: {error}")
    ray = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--num-cpus=1",
        "--object-store-memory=100000000",
    ]
    port = address.rpartition(":")[2]
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    try:
        for more in (head, [f"--address={address}", "--node-ip-address=127.0.0.2"]):
            try:
                subprocess.run(
                    [*ray, *more], env={**os.environ, **own}, check=True, capture_output=True, timeout=120
                )
            except subprocess.SubprocessError as error:
                pytest.skip(f"Ray does not start here: {error} {getattr(error, 'stderr', '') or ''!r}")
        yield address, own
    finally:
        for process in psutil.process_iter():
            if marked(process, str(folder)):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def marked(process: psutil.Process, folder: str) -> bool:
    """Tell whether a process was started by that Ray, or by its commands."""
    try:
        return process.environ().get("AUTOLRS_TEST_RAY") == folder
    except psutil.Error:
        return False
