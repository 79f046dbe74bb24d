"""One thread per test process: workers of pytest-xdist share the cores, and bits depend on threads."""

from __future__ import annotations

import os

import quick_hydra

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HYDRA_FULL_ERROR"] = "0"
quick_hydra.quicken()
