"""Go on with a run in this process, and compare it with one that was never stopped."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from harness import assert_equal_weights, events

from autolrs_cli.commands.resume import main

# What an interruption may change in a record: when it happened, and how much was made in vain.
PASSING = ("t", "total_steps", "reached_t", "reached_total_steps")


def resume(directory: Path, *changes: str) -> int:
    return main(directory, ["dashboard=none", *changes], [], started=time.perf_counter())


def account(directory: Path) -> list[dict[str, Any]]:
    """Every record of the journal that tells of the run, not of its interruptions."""
    told = (
        "step",
        "stage_started",
        "trial_started",
        "trial_step",
        "trial_finished",
        "lr_chosen",
        "eval",
        "target_reached",
    )
    return [{k: v for k, v in r.items() if k not in PASSING} for r in events(directory, *told)]


def assert_same_run(one: Path, other: Path) -> None:
    assert_equal_weights(one, other)
    averaged = "model_averaged.safetensors"
    assert (one / averaged).exists() == (other / averaged).exists()
    if (one / averaged).exists():
        assert (one / averaged).read_bytes() == (other / averaged).read_bytes()
    assert (one / "schedule.csv").read_text() == (other / "schedule.csv").read_text()
    a, b = (json.loads((path / "summary.json").read_text()) for path in (one, other))
    for key in (
        "status",
        "step",
        "metrics",
        "raw_metrics",
        "chosen",
        "examples",
        "notes",
        "untrained_loss",
        "data_fingerprint",
    ):
        assert a[key] == b[key], key
    assert account(one) == account(other)
