"""What a step costs on a GPU, layer by layer, as ratios measured in one run on one device.

    python scripts/benchmark_gpu.py                                     # all recipes at scale=gpu, under 6 minutes
    python scripts/benchmark_gpu.py resnet50 --compile none default     # one recipe, some ways of compiling
    python scripts/benchmark_gpu.py --against ../before                 # and another checkout's runs, on the same card
    python scripts/benchmark_gpu.py bert --device cpu --scale tiny --seconds 0.2 --rounds 2      # whether it works

For each recipe and each `runtime.compile`, in short rounds that alternate: *bare*, forward, backward and optimizer on
batches that are on the device, losses left there; *engine*, the engine's step on the same batches; *hand*, a loop as a
person would write it (not compiled; the run's loader processes, pinned memory, the loss read where the run logs it);
*run*, the steps of a real run with its loader, journal and ledger (no evaluation, no checkpoint). Compilation is not
timed. Then a snapshot's `save` and `restore` over a bare copy of the same tensors, and what a whole run needs before
its first step.

Recipes are measured in processes of their own, one after another; each prints its rows when it is done. After --minutes
nothing more is begun, so that it ends a minute later at most.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from gpu_parts import WARM_UP, Steps, parts_of
from plans import plan_of

from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import device_name
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.trainer import Trainer

RECIPES = ("resnet50", "transformer", "bert")
MODES = ("none", "reduce-overhead", "default")
# A run that neither ends nor measures: what is timed are its steps.
ENDLESS = (
    "schedule=constant",
    "average=none",
    f"run.max_steps={10**9}",
    f"run.eval_every_steps={10**9}",
    "run.checkpoint_every_seconds=1e9",
)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time one call, and what it left to the device."""
    waited: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    waited()
    began = time.perf_counter()
    work()
    waited()
    return time.perf_counter() - began


def measured(plan: Plan, mode: str, folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """Return a row: milliseconds of each part's step, and ratios within rounds."""
    trainer, parts = parts_of(plan, mode, folder)
    for steps in parts.values():
        steps(WARM_UP)  # compiles, allocates, starts workers
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    counts = {}
    for name, steps in parts.items():
        one = seconds(functools.partial(steps, 4), plan.device) / 4
        counts[name] = max(4, min(400, round(wanted.seconds / one)))
    rounds: list[dict[str, float]] = []
    for number in range(wanted.rounds):
        times = {}
        for name, steps in sorted(parts.items(), reverse=bool(number % 2)):
            times[name] = seconds(functools.partial(steps, counts[name]), plan.device) / counts[name]
        rounds.append(times)
    row: dict[str, Any] = {"compile": mode}
    row |= {f"{name} ms": round(1e3 * statistics.median(t[name] for t in rounds), 2) for name in parts}
    row["steps/s"] = round(1e3 / row["run ms"], 1)
    # By their ratios within a round, which a busy moment leaves alone.
    for over, under in (("bare", "engine"), ("bare", "run"), ("hand", "run")):
        if over not in parts:
            continue
        row[f"{over}/{under}"] = round(statistics.median(t[over] / t[under] for t in rounds), 3)
    if plan.device.type == "cuda":
        row["peak MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
        row["not kernels"] = round(1 - kernel_seconds(parts["run"]) / (row["run ms"] / 1e3), 3)
    return row | snapshot_ratios(trainer, plan.device)


def kernel_seconds(steps: Steps, count: int = 10) -> float:
    """Return the seconds per step in which the device computes or copies."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        steps(count)
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / count


def snapshot_ratios(trainer: Trainer, device: torch.device, times: int = 8) -> dict[str, float]:
    """Return the time of a snapshot's save and restore over that of a bare copy."""
    engine = trainer.engine
    taken = Snapshot(engine.model, engine.optimizer)
    taken.save()
    living = [*engine.model.parameters(), *engine.model.buffers()]
    living += [v for s in engine.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    own, copies = [t.detach() for t in living], [t.detach().clone() for t in living]
    with torch.no_grad():
        works = {
            "copy": lambda: torch._foreach_copy_(copies, own),
            "save": taken.save,
            "restore": taken.restore,
        }
        for work in works.values():
            work()
        found = {name: min(seconds(work, device) for _ in range(times)) for name, work in works.items()}
    return {f"{name}/copy": round(found[name] / found["copy"], 2) for name in ("save", "restore")}


# What a run imports sooner or later is imported first; the rest of its startup is its own.
STARTUP = """
import json, sys, time
import autolrs_cli.commands.train as train, autolrs_cli.runner.execute, autolrs_cli.search, torch._dynamo
import autolrs_recipes.resnet50, autolrs_recipes.transformer, autolrs_recipes.bert, transformers, torchvision
from transformers import BertForPreTraining, MarianMTModel
imported = time.perf_counter()
assert train.main(sys.argv[2:], started=imported) == 0
with open(sys.argv[1] + "/summary.json") as summary:
    print(json.load(summary)["ledger"]["startup"]["seconds"])
"""


def startup_seconds(overrides: Sequence[str], folder: Path) -> float:
    """Return what a run needs from its imports to its first step, its data made ready before."""
    short = (
        "schedule=constant",
        "average=none",
        "run.max_steps=2",
        "run.eval_every_steps=2",
        "dashboard=none",
    )
    command = [sys.executable, "-c", STARTUP, str(folder), *overrides, *short, f"run.dir={folder}"]
    # Elsewhere, since Python looks for packages in the folder it is started in first.
    done = subprocess.run(command, cwd=folder.parent, stdout=subprocess.PIPE, text=True, check=True)
    return round(float(done.stdout.splitlines()[-1]), 2)


def rows_here(wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one recipe with the packages of this process."""
    common = (f"recipe={wanted.recipe[0]}", f"scale={wanted.scale}", f"runtime.device={wanted.device}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as aside:
        for mode in wanted.compile:
            if time.time() > wanted.until:
                rows.append(
                    {"recipe": wanted.recipe[0], "compile": mode, "problem": "no time was left for it"}
                )
                continue
            compiled = () if mode == "none" else (f"runtime.compile={mode}",)
            row: dict[str, Any] = {"recipe": wanted.recipe[0], "compile": mode}
            try:
                plan = plan_of(*common, *ENDLESS, *compiled, *wanted.set)
                row["device"] = device_name(plan.device)
                row |= measured(plan, mode, Path(aside) / mode, wanted)
            except Exception as error:  # the others are still worth knowing
                row["problem"] = f"{type(error).__name__}: {error}"
            rows.append(row)
        if "problem" not in rows[0]:
            rows[0]["startup s"] = startup_seconds((*common, *wanted.set), Path(aside) / "startup")
    return rows


def rows_of(
    recipe: str, wanted: argparse.Namespace, until: float, checkout: Path | None = None
) -> list[dict[str, Any]]:
    """Return a recipe's rows, measured in a process of its own, with the packages of a checkout if there is one."""
    modes = wanted.compile if checkout is None else ["none"]
    flags = {
        "device": wanted.device,
        "scale": wanted.scale,
        "seconds": wanted.seconds,
        "until": until,
        "rounds": wanted.rounds,
    }
    command = [sys.executable, str(Path(__file__).resolve()), recipe, "--serve", "--compile", *modes]
    command += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    command += ["--set", *wanted.set]
    paths = [str(checkout), str(checkout / ".types")] if checkout else [os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return [{"recipe": recipe, "problem": f"measuring it ended with {done.returncode}: see above"}]
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def compared(rows: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their speedup over another checkout's run, whose row comes first."""
    there = before[0].get("run ms")
    speedups = [
        {**row, "over before": round(there / row["run ms"], 2)} for row in rows if there and "run ms" in row
    ]
    return [{**before[0], "compile": "before"}, *(speedups or rows)]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as Markdown, with a line below for each problem."""
    good = [row for row in rows if "problem" not in row]
    names = list(dict.fromkeys(name for row in good for name in row))
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"] if good else []
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in good]
    lines += [
        f"{row.get('recipe', '')} {row.get('compile', '')}: {row['problem']}"
        for row in rows
        if "problem" in row
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the recipes that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="*", choices=(*RECIPES, []), help="by default all")
    parser.add_argument("--compile", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", default="gpu")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of the runs"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of each part in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=4.5, help="after which nothing more is begun")
    parser.add_argument("--until", type=float, default=math.inf, help=argparse.SUPPRESS)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure its runs too, uncompiled")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.serve:
        print(json.dumps(rows_here(wanted)))
        return
    until = time.time() + 60 * wanted.minutes
    for recipe in wanted.recipe or RECIPES:
        rows = rows_of(recipe, wanted, until)
        if wanted.against is not None:
            rows = compared(rows, rows_of(recipe, wanted, until, wanted.against.resolve()))
        print(f"{table(rows)}\n", flush=True)


if __name__ == "__main__":
    main()
