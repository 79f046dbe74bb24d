"""One thread per test process: workers of pytest-xdist share the cores, and bits depend on threads.

Runs with more threads wait for one another asleep: spinning, they would take the cores from the other tests.
"""

from __future__ import annotations

import os

import pytest
import quick_hydra
from cpu_seconds import CpuSeconds

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HYDRA_FULL_ERROR"] = "0"
quick_hydra.quicken()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu-seconds", action="store_true", help="what each file takes of the processor")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--cpu-seconds"):
        config.pluginmanager.register(CpuSeconds())
