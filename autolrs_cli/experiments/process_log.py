"""What a process of ours printed, for the person who started many of them."""

from __future__ import annotations

from pathlib import Path

PROBLEM = "error: "


def last_words(log: Path) -> str:
    """Return the problems that a process named in its log, else its last line; empty: it said nothing."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    said = [line.removeprefix(PROBLEM) for line in lines if line.startswith(PROBLEM)]
    return " ".join(said or [line for line in lines if line][-1:])
