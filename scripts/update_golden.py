"""Rewrite tests/golden/*.json, or those of the schedules named, after a change that is meant to alter results.

Say why in the commit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "user")]

from harness import GOLDEN_OVERRIDES, golden_losses  # noqa: E402


def main() -> None:
    """Run the toy recipe under every schedule, or those named, and keep its losses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schedules", nargs="*", metavar="SCHEDULE", help="default: all")
    chosen = parser.parse_args().schedules
    if unknown := [name for name in chosen if name not in GOLDEN_OVERRIDES]:
        parser.error(f"{', '.join(unknown)}: add it to GOLDEN_OVERRIDES in tests/harness.py first")
    for schedule in chosen or GOLDEN_OVERRIDES:
        with tempfile.TemporaryDirectory() as directory:
            losses = golden_losses(Path(directory) / "run", schedule)
        path = TESTS / "golden" / f"{schedule}.json"
        path.write_text(json.dumps(losses, indent=0) + "\n")
        print(f"{path}: {len(losses)} losses, the last one {losses[-1]:.6f}")


if __name__ == "__main__":
    main()
