"""What the live dashboard costs: CPU time of its thread as a share of the run it watches.

    python scripts/benchmark_dashboard.py                    # a made-up demo run of 60 s at three sizes
    python scripts/benchmark_dashboard.py --seconds 20 --steps-per-second 150
    python scripts/benchmark_dashboard.py --run RUN_DIR      # the events of a real run, in their own time

Events come at the pace of a run, and the thread draws as it does beside one, on a terminal that takes everything.
The share is of one core; a run computes on one or more. Exit code 1 if it is 1 % or more.
"""

from __future__ import annotations

import argparse
import math
import os
import pty
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from autolrs_cli.dashboard import chart
from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.records.journal import read_journal

SIZES = ((80, 24), (120, 40), (200, 60))
MOST_SHARE = 0.01
# What the import of the plotting library costs once is shared out over the shortest demonstration (ours: 3.5 minutes).
DEMO_SECONDS = 200.0
LOG_EVERY = 5
STAGE_STEPS, TRIAL_STEPS, TRIALS = 120, 30, 4
LR_MIN, LR_MAX = 1e-3, 1.0
DESCRIPTION = {
    "data": "made up",
    "model": "none",
    "to_get_the_papers": "nothing",
    "recipe": "made_up",
    "schedule": "autolrs",
    "search": "paper",
    "scale": "demo",
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "example_unit": "images",
    "metric": {"name": "accuracy", "direction": "max", "unit": ""},
    "target": {"metric": "accuracy", "value": 0.99, "direction": "max"},
}
Record = dict[str, Any]


def made_up(seconds: float, steps_per_second: float) -> Iterator[Record]:
    """Yield the events of a searched run: trials that log every step, kept steps that log every fifth."""
    stages = max(1, round(seconds * steps_per_second / (STAGE_STEPS + TRIALS * TRIAL_STEPS)))
    place = {"t": 0.0, "step": 0, "total_steps": 0}
    segments = [{"kind": "stage", "first_step": i * STAGE_STEPS, "steps": STAGE_STEPS} for i in range(stages)]
    plan = {
        "max_steps": stages * STAGE_STEPS,
        "search_steps": stages * TRIALS * TRIAL_STEPS,
        "segments": segments,
    }
    yield {**place, "event": "run_started", "description": DESCRIPTION, "plan": plan}
    for stage in range(stages):
        yield from _stage(place, stage, steps_per_second)
    yield {**place, "event": "run_finished", "status": "done", "reason": None, "ledger": {}}


def _stage(place: Record, stage: int, steps_per_second: float) -> Iterator[Record]:
    first = {"first_step": place["step"], "steps": STAGE_STEPS, "trial_steps": TRIAL_STEPS}
    limits = {"num_trials": TRIALS, "lr_min": LR_MIN, "lr_max": LR_MAX, "objective": "train"}
    yield {**place, "event": "stage_started", "stage": stage, **first, **limits}
    for trial in range(TRIALS):
        yield from _trial({**place, "stage": stage, "trial": trial}, place, steps_per_second)
    chosen = {"lr": 0.03, "predicted": 1.0, "chosen_trial": 2, "flags": ()}
    yield {**place, "event": "lr_chosen", "stage": stage, **chosen}
    for _ in range(STAGE_STEPS):
        _advance(place, steps_per_second)
        place["step"] += 1
        if place["step"] % LOG_EVERY == 0:
            loss = 2 * math.exp(-place["step"] / 400) + 0.1 * math.sin(place["step"])
            yield {**place, "event": "step", "lr": 0.03, "loss": loss, "examples": 32 * place["step"]}
        if place["step"] % 40 == 0:
            metrics = {"accuracy": 0.9, "loss": 2 * math.exp(-place["step"] / 400)}
            yield {**place, "event": "eval", "split": "target", "weights": "raw", "metrics": metrics}


def _trial(here: Record, place: Record, steps_per_second: float) -> Iterator[Record]:
    lr = LR_MIN * (LR_MAX / LR_MIN) ** ((here["trial"] + 0.5) / TRIALS)
    lrs = [LR_MIN * (LR_MAX / LR_MIN) ** (i / 47) for i in range(48)]
    mean = [1 + 0.3 * math.log10(each / 0.04) ** 2 for each in lrs]
    if here["trial"]:
        yield {**here, "event": "surrogate", "lrs": lrs, "mean": mean, "std": [0.1 * each for each in mean]}
    yield {**here, "event": "trial_started", "lr": lr}
    for number in range(1, TRIAL_STEPS + 1):
        _advance(place, steps_per_second)
        here = {**here, "t": place["t"], "total_steps": place["total_steps"]}
        yield {**here, "event": "trial_step", "trial_step": number, "loss": 2.0 / number}
    verdict = {"predicted": 1.0 + lr, "std": 0.1, "flags": (), "reason": None, "best": here["trial"] == 0}
    yield {**here, "event": "trial_finished", "lr": lr, "status": "ok", "steps": TRIAL_STEPS, **verdict}


def _advance(place: Record, steps_per_second: float) -> None:
    place["t"] += 1 / steps_per_second
    place["total_steps"] += 1


class MeasuredScreen(Screen):
    """A screen that notes the CPU time of its thread."""

    once_seconds = 0.0
    cpu_seconds = 0.0
    frames = 0

    def _run(self) -> None:
        chart.warm_up()
        self.once_seconds = time.thread_time()
        super()._run()
        self.cpu_seconds = time.thread_time() - self.once_seconds

    def _draw(self, said: str, *, last: bool) -> None:
        super()._draw(said, last=last)
        self.frames += 1


def measure(
    records: Iterator[Record], width: int, height: int, limit: float
) -> tuple[MeasuredScreen, float, float]:
    """Play `records` in their own time, at most `limit` seconds.

    Returns:
        The screen, seconds passed, and the median microseconds of handing a record over.
    """
    master, slave = pty.openpty()
    threading.Thread(target=_read_all, args=(master,), daemon=True).start()
    handing = []
    with os.fdopen(slave, "w") as stream:
        console = Console(file=stream, width=width, height=height, force_terminal=True)
        began = time.perf_counter()
        with MeasuredScreen("live", console) as screen:
            first = None
            for record in records:
                first = record["t"] if first is None else first
                due = began + record["t"] - first
                if due - began > limit:
                    break
                time.sleep(max(0.0, due - time.perf_counter()))
                start = time.perf_counter()
                screen.show(record)
                handing.append(time.perf_counter() - start)
        passed = time.perf_counter() - began
    return screen, passed, 1e6 * statistics.median(handing)


def _read_all(fd: int) -> None:
    try:
        while os.read(fd, 1 << 16):
            pass
    except OSError:
        return


def main() -> int:
    """Measure each size; return 1 if one costs too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--steps-per-second", type=float, default=40.0)
    parser.add_argument("--run", type=Path)
    given = parser.parse_args()
    worst = once = 0.0
    for width, height in SIZES:
        records = (
            read_journal(given.run / "journal.jsonl")
            if given.run
            else made_up(given.seconds, given.steps_per_second)
        )
        screen, passed, handing = measure(records, width, height, given.seconds)
        once = max(once, screen.once_seconds)
        share = screen.cpu_seconds / passed + once / DEMO_SECONDS
        worst = max(worst, share)
        print(
            f"{width}x{height}: {screen.cpu_seconds:.2f} s CPU in {passed:.0f} s and {once:.2f} s once = {share:.2%} "
            f"of one core, {screen.frames} frames, {handing:.1f} us to hand a record over"
        )
    return int(worst >= MOST_SHARE)


if __name__ == "__main__":
    raise SystemExit(main())
