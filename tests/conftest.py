"""One thread per test process: workers of pytest-xdist share the cores, and bits depend on threads.

Runs with more threads wait for one another asleep: spinning, they would take the cores from the other tests.
"""

from __future__ import annotations

import os

import quick_hydra

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HYDRA_FULL_ERROR"] = "0"
quick_hydra.quicken()
