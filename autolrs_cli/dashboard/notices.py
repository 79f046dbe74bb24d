"""What is out of the ordinary, in words: one sentence for a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolrs_cli.terminal.formats import lr

# How a trial diverged, in a few words.
FAILURES: Mapping[str | None, str] = {
    "non_finite_loss": "loss not finite",
    "loss_above_untrained": "loss far above the untrained model's",
}


def diverged_trial(record: Mapping[str, Any]) -> str:
    """Say which trial diverged and how."""
    return f"trial {record['trial'] + 1} diverged at LR {lr(record['lr'])}: {record['reason']}"


def all_failed(record: Mapping[str, Any]) -> str:
    """Say what is done where every trial diverged."""
    return (
        f"every trial of stage {record['stage'] + 1} diverged; it trains at the safe LR {lr(record['lr'])}. "
        "Under search=paper, lower search.lr_max."
    )


def rolled_back(record: Mapping[str, Any]) -> str:
    """Say that a stage is searched again after its training diverged."""
    return (
        f"training diverged at LR {lr(record['lr'])}: back at step {record['to_step']}, this stage is searched again "
        f"below it (attempt {record['attempt']} of {record['attempts']}); {record['reason']}"
    )


def resumed(record: Mapping[str, Any]) -> str:
    """Say where a run goes on, and what that costs."""
    kept = f", {record['kept_trials']} finished trials kept" if record["kept_trials"] else ""
    changed = f"; changed since: {', '.join(record['changed'])}" if record.get("changed") else ""
    return f"resumed at step {record['from_step']}{kept}; {record['repeated_steps']} steps are made again{changed}"
