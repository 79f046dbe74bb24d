"""Search many stages in one process, and measure whether anything grows: memory, open files, journal, checkpoints.

    python scripts/soak_long.py                    # 120 searched stages of a toy recipe: a few minutes
    python scripts/soak_long.py --stages 30 --warm-up 10
    python scripts/soak_long.py --recipe resnet50 --override scale=tiny --override run.full_eval_every_steps=null

Host memory (resident, and the part of it that no other process shares) and open files are read when each stage's LR
is chosen. Growth is the median of the last ten stages over that of the first ten after the warm-up. Leaves with 1 if
memory grows by 1 % or more, or the number of open files or threads at all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from rich.console import Console

from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.records.journal import Record
from autolrs_cli.runner.execute import execute, open_directory
from autolrs_cli.runner.plan import check

USER = Path(__file__).parent.parent / "tests" / "user"
STAGE_STEPS, WARM_UP_STEPS, NUM_TRIALS, TRIAL_STEPS = 40, 10, 3, 20
MOST_GROWTH = 0.01
WINDOW = 10


@dataclass
class Meter:
    """Listens to the journal, and reads the process's memory and handles at each stage."""

    process: psutil.Process = field(default_factory=psutil.Process)
    resident: list[int] = field(default_factory=list)
    """Bytes, one number a stage."""
    unshared: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def __call__(self, record: Record) -> None:
        """Measure where a stage's search has ended."""
        if record["event"] == "lr_chosen":
            memory = self.process.memory_full_info()
            self.resident.append(memory.rss)
            self.unshared.append(memory.uss)
            self.files.append(self.process.num_fds())
            self.threads.append(self.process.num_threads())


def configuration(recipe: str, stages: int, directory: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Compose a run of `stages` equal stages."""
    lengths = [
        "search=paper",
        f"run.max_steps={WARM_UP_STEPS + stages * STAGE_STEPS}",
        f"schedule.warmup_steps={WARM_UP_STEPS}",
        f"search.initial_stage_steps={STAGE_STEPS}",
        f"search.max_stage_steps={STAGE_STEPS}",
        f"search.trial_fraction={TRIAL_STEPS / STAGE_STEPS}",
        f"search.num_trials={NUM_TRIALS}",
        "search.num_random_trials=1",
    ]
    places = [f"run.dir={directory}", f"hydra.searchpath=[file://{USER}]"]
    with initialize_config_module("autolrs_configs", version_base="1.3"):
        config = compose("train", [f"recipe={recipe}", *lengths, *places, *overrides])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "launcher"}


def soak(recipe: str, stages: int, directory: Path, overrides: Sequence[str]) -> Meter:
    """Run `stages` searched stages, with a screen of plain lines that nobody reads."""
    config = configuration(recipe, stages, directory, overrides)
    plan, meter = check(config), Meter()
    root = open_directory(plan, config)
    with Path("/dev/null").open("w") as nowhere, Screen("plain", Console(file=nowhere)) as screen:
        listeners = (screen.show, meter)
        result = execute(plan, config, root, started=time.perf_counter(), listeners=listeners)
    if result.status != "done":
        raise SystemExit(f"The run ended early: {result.reason}")
    return meter


def journal_report(directory: Path) -> str:
    """Say how many bytes of journal a step costs, and which events they are."""
    size, events = Counter[str](), Counter[str]()
    steps = 0
    for line in (directory / "journal.jsonl").read_bytes().splitlines(keepends=True):
        record = orjson.loads(line)
        size[record["event"]] += len(line)
        events[record["event"]] += 1
        steps = record["total_steps"]
    parts = ", ".join(
        f"{name} {bytes_ / events[name]:,.0f} B x {events[name]:,}" for name, bytes_ in size.most_common(5)
    )
    mean = f"{size.total():,} bytes in {steps:,} optimizer steps = {size.total() / steps:,.0f} B a step"
    return f"journal: {mean} ({parts})"


def growth(values: Sequence[int], warm_up: int) -> float:
    """Return the median of the last stages over that of the first after the warm-up, less 1."""
    early = statistics.median(values[warm_up : warm_up + WINDOW])
    return statistics.median(values[-WINDOW:]) / early - 1


def main() -> None:
    """Soak, print the scores, and leave with 1 if something grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stages", type=int, default=120)
    parser.add_argument("--warm-up", type=int, default=20, help="stages that do not count")
    parser.add_argument("--recipe", default="toy")
    parser.add_argument("--override", action="append", default=[], help="of autolrs train; may be repeated")
    given = parser.parse_args()
    if given.stages < given.warm_up + 2 * WINDOW:
        parser.error(f"--stages must be {given.warm_up + 2 * WINDOW} or more with --warm-up {given.warm_up}")
    sys.path.append(str(USER))
    with tempfile.TemporaryDirectory(prefix="autolrs-soak-") as folder:
        run = Path(folder) / "run"
        meter = soak(given.recipe, given.stages, run, given.override)
        about_journal = journal_report(run)
    grown = []
    for name, values in (("resident", meter.resident), ("unshared", meter.unshared)):
        share = growth(values, given.warm_up)
        grown.append(share >= MOST_GROWTH)
        every = [f"{v / 2**20:.1f}" for v in values[:: max(1, len(values) // 8)]]
        print(f"{name} memory: {share:+.2%} after the warm-up (MiB on the way: {', '.join(every)})")
    for name, values in (("open files", meter.files), ("threads", meter.threads)):
        early, late = max(values[given.warm_up : given.warm_up + WINDOW]), max(values[-WINDOW:])
        grown.append(late > early)
        print(f"{name}: {early} after the warm-up, {late} at the end")
    print(about_journal)
    sys.exit(any(grown))


if __name__ == "__main__":
    main()
