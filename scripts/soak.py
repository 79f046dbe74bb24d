"""Kill runs with SIGKILL at random moments, resume them, and count how many end as if they had never been stopped.

    python scripts/soak.py                           # every recipe at scale=tiny, 20 times each
    python scripts/soak.py --times 5 bert            # one recipe
    python scripts/soak.py --scale demo --times 3    # the real thing

A run is killed up to three times, resumes included. Most moments are drawn evenly from its work, from the first record
of its journal on; one in ten from its start, when it imports and builds. Beside the score stands what the kills hit.
A run counts if final weights, schedule, metrics and chosen LRs are those of the undisturbed run, bit for bit.
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
from collections import Counter
from pathlib import Path

RECIPES = ("resnet50", "transformer", "bert")
COMMAND = (sys.executable, "-m", "autolrs_cli")
SAME = ("step", "metrics", "chosen", "examples", "notes", "untrained_loss", "data_fingerprint")
MOST_KILLS = 3
STARTING_SHARE = 0.1  # of the kills come while the process starts
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


def records(directory: Path) -> list[dict[str, object]]:
    """Return the whole lines of a journal; none if there is no journal."""
    try:
        lines = (directory / "journal.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def kill_after(
    process: subprocess.Popen[bytes], directory: Path, seconds: float, *, at_work: bool
) -> str | None:
    """Kill a process unless it ends before.

    Args:
        process: a run.
        directory: its run directory.
        seconds: to wait, from now or from its first record on.
        at_work: whether to count them from its first record on.

    Returns:
        What it was doing; None if it had ended.
    """
    before = len(records(directory))
    while at_work and process.poll() is None and len(records(directory)) in (0, before):
        time.sleep(0.02)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = records(directory)
        return doing(found[-1]) if len(found) not in (0, before) else "starting"
    finish(process)
    return None


def doing(last: dict[str, object]) -> str:
    """Name what comes after the last record of a killed run."""
    if "trial" in last and last["event"] != "trial_finished":
        return "in a trial"
    if last["event"] in ("stage_started", "trial_finished", "surrogate", "lr_chosen"):
        return "between trials"
    return {"eval": "after an evaluation", "checkpoint": "after a checkpoint"}.get(
        str(last["event"]), "in training"
    )


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
    passed, hits = 0, Counter[str]()
    with tempfile.TemporaryDirectory(prefix="autolrs-soak-") as folder:
        cwd = Path(folder)
        command = ("train", f"recipe={recipe}", f"scale={scale}", "dashboard=none", *more)
        finish(start(*command, "run.dir=warm-up", cwd=cwd))  # prepares data, fills the file system's cache
        began = time.perf_counter()
        finish(start(*command, "run.dir=reference", cwd=cwd))
        whole = time.perf_counter() - began
        ledger = json.loads((cwd / "reference" / "summary.json").read_text())["ledger"]
        work = sum(bucket["seconds"] for name, bucket in ledger.items() if name != "startup")
        for number in range(times):
            name = f"run{number}"
            process = start(*command, f"run.dir={name}", cwd=cwd)
            for _ in range(draw.randint(1, MOST_KILLS)):
                at_work = draw.random() > STARTING_SHARE
                seconds = draw.uniform(0, work if at_work else whole - work)
                hit = kill_after(process, cwd / name, seconds, at_work=at_work)
                if hit is None:
                    break
                hits[hit] += 1
                # Killed before it had a folder: there is nothing to resume, so it is begun again.
                begun = (cwd / name / "config.yaml").exists()
                process = start(*(("resume", name) if begun else (*command, f"run.dir={name}")), cwd=cwd)
            if process.returncode is None:
                finish(process)
            wrong = differences(cwd / "reference", cwd / name)
            passed += not wrong
            if wrong:
                print(f"{recipe}: run {number} differs in {', '.join(wrong)}", flush=True)
    what = ", ".join(f"{count} {hit}" for hit, count in hits.most_common())
    print(
        f"{recipe} at scale={scale}: {passed} of {times} runs bit-equal after {hits.total()} kills ({what})",
        flush=True,
    )
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
