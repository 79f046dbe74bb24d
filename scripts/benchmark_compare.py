"""What reading journals costs `autolrs compare`: seconds and peak memory, against plain `json.loads`.

    python scripts/benchmark_compare.py                        # 100 journals of 100,000 events, in a temporary folder
    python scripts/benchmark_compare.py --runs 10 --events 20000

Each journal is written as the journal writes it: kept steps, trial steps, evaluations, stages. Both readers run in a
process of their own, on a file cache that one reading before has warmed. The ratio is json.loads / compare.
It leaves with 1 if 100 journals or fewer take more than 20 s or 1 GiB, which is the promise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from autolrs_cli.reports.compare.comparison import compare

SCHEDULES = ("constant", "autolrs")
EVERY = 1_000
MOST_SECONDS, MOST_MEBIBYTES = 20, 1024
CONFIG = {
    "scale": "made",
    "recipe": {"name": "made", "global_batch": 8},
    "original_schedule": {},
    "search": {"name": "paper"},
    "average": {"name": "none"},
    "target": None,
}


def write_run(root: Path, schedule: str, seed: int, events: int) -> None:
    """Write a run whose journal has about `events` events, half of them of trials if it is searched."""
    folder = root / f"{schedule}-{seed}"
    folder.mkdir()
    (folder / "config.yaml").write_text("made: true\n")
    searched = schedule == "autolrs"
    steps = events // (2 if searched else 1)
    with (folder / "journal.jsonl").open("wb") as file:

        def put(name: str, step: int, **fields: object) -> None:
            place = {"event": name, "t": step / 7, "step": step, "total_steps": step * (2 if searched else 1)}
            file.write(orjson.dumps({**place, "phase": "train", **fields}, option=orjson.OPT_APPEND_NEWLINE))

        put("run_started", 0, **_start(schedule, seed, steps))
        for step in range(1, steps + 1):
            if searched:
                put(
                    "trial_step",
                    step,
                    stage=step // 10_000,
                    trial=step % 10,
                    trial_step=step % 100,
                    loss=1 / step,
                )
            put("step", step, lr=0.1 + 1e-7 * step, loss=0.123456789 + 1 / step, examples=8 * step)
            if step % EVERY == 0:
                accuracy = 1 - 1 / (1 + step / 10_000 + seed / 100)
                put(
                    "eval",
                    step,
                    split="target",
                    weights="raw",
                    metrics={"accuracy": accuracy, "loss": 1 / step},
                )
        put(
            "run_finished",
            steps,
            status="done",
            reason=None,
            ledger={"training": {"steps": steps, "seconds": 1.0}},
        )


def _start(schedule: str, seed: int, steps: int) -> dict[str, object]:
    config = {
        **CONFIG,
        "seed": seed,
        "schedule": {"name": schedule},
        "run": {"max_steps": steps, "eval_every_steps": EVERY},
    }
    metric = {"name": "accuracy", "direction": "max"}
    described = {"recipe": "made", "schedule": schedule, "scale": "made", "metric": metric, "target": None}
    plan = {"search_steps": steps if schedule == "autolrs" else 0}
    return {"description": described, "plan": plan, "config": config, "versions": {}, "code_version": "0"}


def read_plainly(root: Path) -> None:
    """Parse every line with the standard library; keep nothing."""
    for journal in root.glob("*/journal.jsonl"):
        with journal.open("rb") as file:
            for line in file:
                json.loads(line)


def read_for_comparison(root: Path) -> None:
    """Compare the runs."""
    compare([root])


def measured(read: Callable[[Path], None], root: Path) -> tuple[float, float, float]:
    """Return seconds, seconds of the processor, and peak memory in MiB of `read` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(read, root, there))
    process.start()
    found: tuple[float, float, float] = here.recv()
    process.join()
    return found


def _measure(read: Callable[[Path], None], root: Path, pipe: Connection) -> None:
    started, busy = time.perf_counter(), time.process_time()
    read(root)
    now, used = time.perf_counter() - started, time.process_time() - busy
    pipe.send((now, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Write the journals, read them both ways, and print what it cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(options.runs):
            write_run(root, SCHEDULES[number % 2], number // 2, options.events)
        size = sum(path.stat().st_size for path in root.glob("*/journal.jsonl")) / 2**20
        print(f"{options.runs} journals of about {options.events:,} events, {size:,.0f} MiB")
        read_for_comparison(root)
        cost = {}
        for name, read in (("compare", read_for_comparison), ("json.loads", read_plainly)):
            seconds, cost[name], memory = measured(read, root)
            print(f"{name}: {seconds:.1f} s, {cost[name]:.1f} s of the processor, peak {memory:,.0f} MiB")
            if name == "compare":
                kept = seconds < MOST_SECONDS and memory < MOST_MEBIBYTES
                print(
                    f"promise: under {MOST_SECONDS} s and {MOST_MEBIBYTES:,} MiB: {'kept' if kept else 'BROKEN'}"
                )
        print(f"json.loads / compare, processor seconds: {cost['json.loads'] / cost['compare']:.1f}")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
