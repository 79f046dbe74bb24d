"""How long `autolrs resume` takes to its first new step, and what checkpointing costs.

    python scripts/benchmark_resume.py                      # resnet50 and bert at scale=demo
    python scripts/benchmark_resume.py --scale tiny toy

A run is stopped by its time limit after its first checkpoint, and resumed until its first new step. The seconds
from process start are split into imports (of what the runner needs, in a process of its own), the model's own
construction, and the rest, which is to stay under 5 s; beside each part stand the seconds of the processor, which a
busy machine does not change much. Checkpointing is given as a share of the first run, from its ledger, and per
checkpoint; a demo run writes about one per searched stage. Finished runs are looked at with --ledger RUN_DIR...
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

RECIPES = ("resnet50", "bert")
USER = Path(__file__).parent.parent / "tests" / "user"
IMPORTS = "import autolrs_cli.commands.resume, autolrs_cli.runner.execute, autolrs_cli.runner.reopening"
PRELOAD = "from autolrs_cli.search import preload; preload()"
MODEL = """
import sys, time
from pathlib import Path
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.checking import build_recipe
from autolrs_cli.runner.stored import read_trusted_config
recipe = build_recipe(read_trusted_config(RunDirectory(Path(sys.argv[1]))))
recipe.prepare(lambda *_: None) if hasattr(recipe, "prepare") else None
start, used = time.perf_counter(), time.process_time()
recipe.model()
print(time.perf_counter() - start, time.process_time() - used)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; end if it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 75):
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
    return done


class Cost(NamedTuple):
    """Seconds on the clock and of the processor."""

    wall: float
    cpu: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.cpu:.1f})"


def cost_of(*arguments: str) -> Cost:
    """Measure a process from start to end."""
    start, before = time.perf_counter(), os.times()
    python(*arguments)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.perf_counter() - start, cpu)


def first_new_step(directory: Path) -> Cost:
    """Resume a run, and measure until its journal has a new point of a curve; then end the process."""
    journal = directory / "journal.jsonl"
    command = [sys.executable, "-m", "autolrs_cli", "resume", str(directory), "dashboard=none"]
    command += ["runtime.max_seconds=null", "run.log_every_steps=1"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while not _has_new_point(journal):
            if process.poll() is not None:
                raise SystemExit(
                    f"resume ended with {process.returncode}: {process.stderr and process.stderr.read()!r}"
                )
            time.sleep(0.02)
        used = psutil.Process(process.pid).cpu_times()
        return Cost(time.perf_counter() - start, used.user + used.system)
    finally:
        process.kill()
        process.communicate()


def _has_new_point(journal: Path) -> bool:
    """Tell whether a step or a step of a trial stands after the last `resumed`; those may wait half a second."""
    names = [
        json.loads(line)["event"]
        for line in journal.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]
    if "resumed" not in names:
        return False
    last = len(names) - names[::-1].index("resumed")
    return not {"step", "trial_step"}.isdisjoint(names[last:])


def measure(recipe: str, scale: str, limit: float, directory: Path) -> None:
    """Stop a run, resume it, and print the parts."""
    own = ["--config-dir", str(USER)] if recipe == "toy" else []
    train = ["-m", "autolrs_cli", "train", *own, f"recipe={recipe}", f"scale={scale}", "dashboard=none"]
    python(*train, f"run.dir={directory}", f"runtime.max_seconds={limit}", "run.checkpoint_every_seconds=20")
    summary = json.loads((directory / "summary.json").read_text())
    total = first_new_step(directory)
    imports = cost_of("-c", f"{IMPORTS}; {PRELOAD}")
    model = Cost(*map(float, python("-c", MODEL, str(directory)).stdout.split()))
    print(
        f"{recipe} at scale={scale}: first new step after {total} s (of the processor) = imports {imports} "
        f"+ model {model} + rest {total - imports - model} (wanted: rest under 5); resumed at step {summary['step']}"
    )
    ledger(directory)


def ledger(directory: Path) -> None:
    """Print what checkpointing cost a run."""
    summary = json.loads((directory / "summary.json").read_text())
    spent = sum(bucket["seconds"] for bucket in summary["ledger"].values())
    cost = summary["ledger"]["checkpoint"]["seconds"]
    count = (directory / "journal.jsonl").read_text().count('"event":"checkpoint"')
    print(
        f"{summary['recipe']} at scale={summary['scale']}, {summary['schedule']}: {count} checkpoints, {cost:.2f} s of "
        f"{spent:.0f} s = {cost / spent:.2%} (wanted: under 2 % of a demo run)",
        flush=True,
    )


def main() -> None:
    """Measure the recipes that were named, or both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the run that is resumed")
    parser.add_argument("--ledger", nargs="+", type=Path, default=[], help="run directories, to look at only")
    given = parser.parse_args()
    for directory in given.ledger:
        ledger(directory)
    for recipe in () if given.ledger else given.recipes:
        with tempfile.TemporaryDirectory(prefix="autolrs-resume-") as folder:
            measure(recipe, given.scale, given.seconds, Path(folder) / "run")


if __name__ == "__main__":
    main()
