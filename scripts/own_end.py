"""When does an arm pass what the baseline of the same seed ends at? A ratio for each seed, from the journals.

    python scripts/own_end.py runs/bert mlm_loss

The baseline is `schedule=original`; of its raw and averaged weights the better end counts. The other arm passes at the
first of two evaluations in a row, with the weights that decide; 0: it never does. For metrics that should be low.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from autolrs_cli.records.journal import read_journal


def curves(run: Path, metric: str) -> dict[str, list[tuple[int, int, float]]]:
    """Return kind of weights -> kept steps, all steps and value at each evaluation."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for record in read_journal(run / "journal.jsonl"):
        if record["event"] == "eval" and record["split"] == "target" and metric in record["metrics"]:
            value = float(record["metrics"][metric])
            found.setdefault(record["weights"], []).append((record["step"], record["total_steps"], value))
    return found


def main(folders: list[str], metric: str) -> None:
    """Print a line for each seed, and medians."""
    runs: dict[bool, dict[int, Path]] = {True: {}, False: {}}
    for path in (path for folder in folders for path in Path(folder).rglob("summary.json")):
        summary = json.loads(path.read_text())
        if summary["status"] == "done":
            runs[summary["schedule"] == "original"][summary["seed"]] = path.parent
    ratios = []
    for seed in sorted(runs[True].keys() & runs[False].keys()):
        baseline, arm = curves(runs[True][seed], metric), curves(runs[False][seed], metric)
        end, steps = min(curve[-1][2] for curve in baseline.values()), baseline["raw"][-1][0]
        points = arm.get("averaged", arm["raw"])
        passed = (
            at
            for at, after in zip(points, [*points[1:], points[-1]], strict=True)
            if max(at[2], after[2]) <= end
        )
        hit = next(passed, None)
        ratios.append((steps / hit[0], steps / hit[1]) if hit else (0.0, 0.0))
        ends = ", ".join(f"{kind} {curve[-1][2]:.4f}" for kind, curve in baseline.items())
        kept, net = ratios[-1]
        print(f"seed {seed}: original {ends}; arm {points[-1][2]:.4f}; kept {kept:.2f}x, net {net:.2f}x")
    if not ratios:
        raise SystemExit("There must be a seed with a finished run of either arm. Give the folders of both.")
    kept, net = (statistics.median(each) for each in zip(*ratios, strict=True))
    print(f"median: kept {kept:.2f}x, net {net:.2f}x")


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
