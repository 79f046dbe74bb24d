"""How long `autolrs resume` takes to its first new step, and what checkpointing costs.

    python scripts/benchmark_resume.py                      # resnet50 and bert at scale=demo
    python scripts/benchmark_resume.py --scale tiny toy

A run is stopped by its time limit after its first checkpoint, and resumed until its first new step. The seconds from
process start are split into imports (as Python itself counts them), the model's own construction (measured apart), and
the rest, which is to stay under 5 s on a quiet machine. Checkpointing is given as a share of the first run, from its
ledger; a demo run writes about one checkpoint per searched stage. Finished runs are looked at with --ledger RUN_DIR...
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPES = ("resnet50", "bert")
USER = Path(__file__).parent.parent / "tests" / "user"
MODEL = """
import sys, time
from pathlib import Path
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import build_recipe
from autolrs_cli.runner.finished_run import read_trusted_config
recipe = build_recipe(read_trusted_config(RunDirectory(Path(sys.argv[1]))))
recipe.prepare(lambda *_: None) if hasattr(recipe, "prepare") else None
recipe.model()  # imports what it needs
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


def first_new_step(directory: Path) -> tuple[float, float]:
    """Resume a run until its journal has a new point of a curve; return seconds, in all and of imports."""
    journal = directory / "journal.jsonl"
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "autolrs_cli",
        "resume",
        str(directory),
        "dashboard=none",
    ]
    command += ["runtime.max_seconds=null", "run.log_every_steps=1"]
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        try:
            while not _has_new_point(journal):
                if process.poll() is not None:
                    raise SystemExit(f"resume ended with {process.returncode}")
                time.sleep(0.02)
            seconds = time.perf_counter() - start
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        # "import time: self [us] | cumulative | name", one line for each module
        own = [
            line.split("|")[0].removeprefix("import time:").strip()
            for line in said
            if line.startswith("import time:")
        ]
    return seconds, sum(int(each) for each in own if each.isdigit()) / 1e6


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
    total, imports = first_new_step(directory)
    model = float(python("-c", MODEL, str(directory)).stdout)
    print(
        f"{recipe} at scale={scale}: first new step after {total:.1f} s = imports {imports:.1f} + model {model:.1f} + "
        f"rest {total - imports - model:.1f} (wanted: rest under 5); resumed at step {summary['step']}"
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
