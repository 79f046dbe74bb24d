"""How long `autolrs resume` takes to its first new step, and what checkpointing costs.

    python scripts/benchmark_resume.py                      # resnet50 and bert at scale=demo
    python scripts/benchmark_resume.py --scale tiny toy

A run is stopped by its time limit after its first checkpoint, and resumed until its first new step. The seconds
from process start are split into imports (of what the runner needs, in a process of its own), the model's own
construction, and the rest, which is to stay under 5 s. Checkpointing is given as a share of the first run, from its
ledger, and per checkpoint; a demo run writes about one per searched stage.
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
start = time.perf_counter()
recipe.model()
print(time.perf_counter() - start)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; end if it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 75):
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
    return done


def seconds(*arguments: str) -> float:
    """Time a process."""
    start = time.perf_counter()
    python(*arguments)
    return time.perf_counter() - start


def first_new_step(directory: Path) -> float:
    """Resume a run, and return the seconds until its journal has a new point of a curve; then end the process."""
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
        return time.perf_counter() - start
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
    ledger = summary["ledger"]
    spent = sum(bucket["seconds"] for bucket in ledger.values())
    cost = ledger["checkpoint"]["seconds"]
    count = (directory / "journal.jsonl").read_text().count('"event":"checkpoint"')
    os.sync()
    total = first_new_step(directory)
    imports = seconds("-c", f"{IMPORTS}; {PRELOAD}")
    model = float(python("-c", MODEL, str(directory)).stdout)
    print(
        f"{recipe} at scale={scale}: {total:.1f} s from process start to the first new step = imports {imports:.1f} + "
        f"model {model:.1f} + rest {total - imports - model:.1f} (wanted: rest under 5); stopped at step "
        f"{summary['step']} of {summary['total_steps']} in all"
    )
    print(
        f"{recipe} at scale={scale}: {count} checkpoints in {spent:.0f} s took {cost:.2f} s, "
        f"{cost / max(count, 1):.2f} s each",
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
    given = parser.parse_args()
    for recipe in given.recipes:
        with tempfile.TemporaryDirectory(prefix="autolrs-resume-") as folder:
            measure(recipe, given.scale, given.seconds, Path(folder) / "run")


if __name__ == "__main__":
    main()
