"""Why a run ended, as its journal and its summary say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolrs_cli.exit_codes import EndCause

# Runs made before the cause was recorded have a sentence only: how those began that tell of too high LRs.
_DIVERGED_BEFORE = ("The training loss must stay finite", "must train without diverging")
_INTERRUPTED_BEFORE = {
    "SIGINT": EndCause.SIGINT,
    "SIGTERM": EndCause.SIGTERM,
    "max_seconds": EndCause.TIME_LIMIT,
}


def cause_of(end: Mapping[str, Any]) -> EndCause | None:
    """Return why a run ended; None: it has not, or was killed.

    Args:
        end: a summary, or the event `run_finished` or `interrupted`; empty: there is none.
    """
    recorded = end.get("cause")
    if recorded is None:
        return _cause_without_record(end)
    try:
        return EndCause(recorded)
    except ValueError:  # by a later version of this program
        return EndCause.OTHER


def _cause_without_record(end: Mapping[str, Any]) -> EndCause | None:
    """Read out of a sentence what older runs have no word for: the only place where that is done."""
    reason = str(end.get("reason"))
    if end.get("event") == "interrupted" or end.get("status") == "interrupted":
        return _INTERRUPTED_BEFORE.get(reason, EndCause.OTHER)
    if end.get("status") == "failed":
        diverged = any(words in reason for words in _DIVERGED_BEFORE)
        return EndCause.DIVERGED if diverged else EndCause.OTHER
    return EndCause.DONE if end.get("status") == "done" else None
