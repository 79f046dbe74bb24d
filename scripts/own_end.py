"""When does an arm pass what the baseline of the same seed ends at? A ratio for each seed, from journals or records.

    python scripts/own_end.py runs/bert mlm_loss
    python scripts/own_end.py docs/results/lean/bert/records.jsonl.gz mlm_loss

The baseline is `schedule=original` at its longest length: no shorter one that ends as well is looked for. Of its raw
and averaged weights the better end counts. The other arm passes at the first of two evaluations in a row, with the
weights that decide; 0: it never does. For metrics that should be low.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from autolrs_cli.records.find_runs import find_run_directories
from autolrs_cli.reports.compare.archived_run import read_archived_runs
from autolrs_cli.reports.compare.run_record import RunRecord, read_run


def runs_of(places: Sequence[Path]) -> list[RunRecord]:
    """Return the finished runs of folders and archives."""
    archived = [run for path in places if path.is_file() for run in read_archived_runs(path)]
    folders = [path for path in places if path.is_dir()]
    found = [read_run(path) for path in find_run_directories(folders)] if folders else []
    return [run for run in [*archived, *found] if run.done]


def curves(run: RunRecord, metric: str) -> dict[str, list[tuple[int, int, float]]]:
    """Return kind of weights -> kept steps, all steps and value at each evaluation."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for each in run.evaluations:
        if metric in each.metrics:
            found.setdefault(each.weights, []).append((each.step, each.total_steps, each.metrics[metric]))
    return found


def main(places: Sequence[Path], metric: str) -> None:
    """Print a line for each seed, and medians."""
    runs: dict[bool, dict[int, RunRecord]] = {True: {}, False: {}}
    for run in sorted(runs_of(places), key=lambda run: run.max_steps):
        side = runs[run.config["schedule"]["name"] == "original"]
        if run.seed in side and side[run.seed].max_steps == run.max_steps:
            raise SystemExit(
                f"Each seed must have one run of either arm at each length, but {run.path} is another of seed "
                f"{run.seed}. Give the folders of two arms."
            )
        side[run.seed] = run
    ratios = []
    for seed in sorted(runs[True].keys() & runs[False].keys()):
        baseline, arm = curves(runs[True][seed], metric), curves(runs[False][seed], metric)
        end, steps = min(curve[-1][2] for curve in baseline.values()), baseline["raw"][-1][0]
        points = arm["averaged"] if "averaged" in arm else arm["raw"]
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
    main([Path(each) for each in sys.argv[1:-1]], sys.argv[-1])
