"""Kill runs with SIGKILL at random moments, resume them, and count how many end as if they had never been stopped.

    python scripts/soak.py                           # every recipe at scale=tiny, 20 times each
    python scripts/soak.py --times 5 bert            # one recipe
    python scripts/soak.py --scale demo --times 3    # the real thing

A run is killed up to three times, at moments drawn evenly from the time that it takes undisturbed, resumes included.
It counts if final weights, schedule, metrics and chosen LRs are those of the undisturbed run, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPES = ("resnet50", "transformer", "bert")
COMMAND = (sys.executable, "-m", "autolrs_cli")
SAME = ("step", "metrics", "chosen", "examples", "notes", "untrained_loss", "data_fingerprint")
MOST_KILLS = 3
PATIENCE_SECONDS = 3600


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `autolrs ARGUMENTS`, silently."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that must end well."""
    _, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}:\n{complaint.decode()}")


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill a process unless it ends before; return whether it was killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    finish(process)
    return False


def differences(one: Path, other: Path) -> list[str]:
    """Return what of two finished runs is not the same."""
    found = [
        name
        for name in ("model.safetensors", "schedule.csv")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    a, b = (json.loads((path / "summary.json").read_text()) for path in (one, other))
    return found + [key for key in SAME if a[key] != b[key]]


def soak(recipe: str, scale: str, times: int, seed: int, more: list[str]) -> int:
    """Return how many of `times` runs came through, and print each that did not."""
    draw = random.Random(f"{seed}/{recipe}")
    passed = kills = 0
    with tempfile.TemporaryDirectory(prefix="autolrs-soak-") as folder:
        cwd = Path(folder)
        command = ("train", f"recipe={recipe}", f"scale={scale}", "dashboard=none", *more)
        finish(start(*command, "run.dir=warm-up", cwd=cwd))  # prepares data, fills the file system's cache
        began = time.perf_counter()
        finish(start(*command, "run.dir=reference", cwd=cwd))
        duration = time.perf_counter() - began
        for number in range(times):
            name = f"run{number}"
            process = start(*command, f"run.dir={name}", cwd=cwd)
            for _ in range(draw.randint(1, MOST_KILLS)):
                if not kill_after(process, draw.uniform(0, duration)):
                    break
                kills += 1
                # Killed before it had a folder: there is nothing to resume, so it is begun again.
                begun = (cwd / name / "config.yaml").exists()
                process = start(*(("resume", name) if begun else (*command, f"run.dir={name}")), cwd=cwd)
            if process.returncode is None:
                finish(process)
            wrong = differences(cwd / "reference", cwd / name)
            passed += not wrong
            if wrong:
                print(f"{recipe}: run {number} differs in {', '.join(wrong)}", flush=True)
    print(f"{recipe} at scale={scale}: {passed} of {times} runs bit-equal after {kills} kills", flush=True)
    return passed


def main() -> None:
    """Soak the recipes that were named, or all; leave with 1 if a run was not restored exactly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", choices=[*RECIPES, []], help="all by default")
    parser.add_argument("--scale", default="tiny", help="tiny by default")
    parser.add_argument("--times", type=int, default=20, help="runs per recipe")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--override", action="append", default=[], help="of autolrs train; may be repeated")
    given = parser.parse_args()
    recipes = given.recipes or RECIPES
    passed = [soak(recipe, given.scale, given.times, given.seed, given.override) for recipe in recipes]
    sys.exit(sum(passed) < given.times * len(recipes))


if __name__ == "__main__":
    main()
