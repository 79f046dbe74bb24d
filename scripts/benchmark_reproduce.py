"""What `autolrs reproduce` costs when all its runs are done: seconds, and ratios within one run of this script.

    python scripts/benchmark_reproduce.py                       # all three recipes at scale=bench: about 500 runs
    python scripts/benchmark_reproduce.py bert --scale tiny

Runs and studies are made up (tests/made_reproduction.py): real configurations, and journals as long as those of
real runs. It prints what it takes to type the command again with nothing new (the promise: under 30 s for 500 runs),
to draw every figure anew, and to compose every arm anew. It leaves with 1 if the promise is broken.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from made_reproduction import MadeUp

from autolrs_cli.experiments.reproduce.arms import CLAIMS
from autolrs_cli.experiments.reproduce.reproduce import main as reproduce
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.sweep.stale import CurrentData

MOST_SECONDS, PER_RUNS = 30, 500
TARGET, LOG_EVERY = 0.9, 10
# Shares of the budget that the runs of a schedule need to the target; others need three quarters.
NEEDS = {"original": 0.9, "autolrs": 1.5, "constant_tuned": 9.0, "cosine_tuned": 0.7, "sgdr_tuned": 1.4}
FULL: dict[str, int] = {}


def needs(config: Mapping[str, Any]) -> float:
    """Return the steps to the target, a little more on each seed."""
    steps = FULL.setdefault(
        config["recipe"]["name"], config["run"]["max_steps"]
    )  # full lengths are run first
    return steps * (NEEDS.get(config["schedule"]["name"], 0.75) + 0.01 * config["seed"])


def timed(what: str, made: MadeUp, request: ReproductionRequest, recipes: list[str]) -> float:
    """Carry it out, and return the seconds that it took."""
    started, busy = time.perf_counter(), time.process_time()
    before = len(made.made)
    with made.in_place():
        code = reproduce(request, recipes, [])
    seconds = time.perf_counter() - started
    assert code == 0, code
    print(
        f"{what}: {seconds:.1f} s, {time.process_time() - busy:.1f} s of the processor, "
        f"{len(made.made) - before} runs made up",
        file=sys.stderr,
    )
    return seconds


def main() -> None:
    """Make a reproduction up, and type it again in three ways."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=list(CLAIMS))
    parser.add_argument("--scale", default="bench")
    options = parser.parse_args()
    # A made-up run has no data of its own: any will do.
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(CurrentData, "fingerprint", lambda *_: "made up"),
    ):
        given = f"metric:loss,value:{1 - TARGET:.3g},margin:0.0,seeds:[],command:made,data_fingerprint:null"
        target = f"target={{{given}}}"
        request = ReproductionRequest(tuple(range(5)), options.scale, 1, Path(folder), (target,))
        made = MadeUp(needs, TARGET, "made up", LOG_EVERY)
        (Path(folder) / options.scale).mkdir()
        for recipe in options.recipes:  # so that nothing is timed that a reproduction times before it begins
            (request.of(recipe) / "tuning").mkdir(parents=True)
        timed("made up", made, request, options.recipes)
        runs = len(made.made)
        again = timed("typed again", made, request, options.recipes)
        for recipe in options.recipes:
            shutil.rmtree(request.of(recipe) / "report" / "plots")
        drawn = timed("figures drawn anew", made, request, options.recipes)
        for recipe in options.recipes:
            (request.of(recipe) / "composed.json").unlink()
        composed = timed("arms composed anew", made, request, options.recipes)
        sizes = [
            (request.of(recipe) / "report" / "records.jsonl.gz").stat().st_size for recipe in options.recipes
        ]
    kept = again < MOST_SECONDS * max(1.0, runs / PER_RUNS)
    print(f"{runs} runs; archives of {', '.join(f'{size / 1000:,.0f} kB' for size in sizes)}")
    print(f"figures drawn anew / typed again: {drawn / again:.1f}")
    print(f"arms composed anew / typed again: {composed / again:.1f}")
    print(
        f"promise: under {MOST_SECONDS} s for {PER_RUNS} runs: {'kept' if kept else 'BROKEN'} ({again:.1f} s)"
    )
    sys.exit(not kept)


if __name__ == "__main__":
    main()
