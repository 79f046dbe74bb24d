"""What a second process brings on this machine, and what agreeing with it costs.

    python scripts/benchmark_processes.py [OVERRIDES]

Times training steps of one process with one thread and of two such processes (gloo), of the same global batch, in
turns; then one step's message, and the sum of its gradients, alone. Only ratios of one call mean anything.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from plans import plan_of

from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.board import Board
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.process_group import ProcessWorld
from autolrs_cli.training.train_data import TrainData
from autolrs_cli.training.world import World

USUAL = ("recipe=resnet50", "scale=demo", "recipe.micro_batch=null")
ROUNDS, STEPS, WARM_UP, LR = 3, 6, 2, 1e-3
MESSAGES, SUMS = 300, 10


def planned(overrides: list[str], processes: int) -> Plan:
    """Return the plan of a run on so many processes of one thread each."""
    return plan_of(*overrides, "runtime.device=cpu", "runtime.threads=1", f"runtime.processes={processes}")


def main(overrides: list[str]) -> None:
    """Measure in turns and print."""
    planned(overrides, 1)  # its data are then ready
    steps: dict[int, list[float]] = {1: [], 2: []}
    others: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        for processes in steps:
            found = measured(overrides, processes)
            steps[processes] += found.pop("steps")
            if processes == 2:
                others.append(found)
    alone, shared = (statistics.median(steps[n]) for n in (1, 2))
    print(" ".join(overrides), f"(load average {os.getloadavg()[0]:.1f})")
    print(f"one process, one thread:    {1000 * alone:8.1f} ms a step")
    print(f"two processes, one thread:  {1000 * shared:8.1f} ms a step, {alone / shared:.2f} times as fast")
    for name in others[0]:
        print(f"{name}: {1000 * statistics.median(each[name] for each in others):.2f} ms")


def measured(overrides: list[str], processes: int) -> dict[str, float | list[float]]:
    """Return what rank 0 of so many new processes measures."""
    board = Board.at("127.0.0.1", 0, holds=True)
    command = [sys.executable, __file__, "--rank"]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(processes), str(board.port), *overrides], stdout=subprocess.PIPE
        )
        for rank in range(processes)
    ]
    printed = [process.communicate()[0] for process in ranks]
    assert not any(process.returncode for process in ranks)
    found: dict[str, float | list[float]] = json.loads(printed[0])
    return found


def one_of_them(rank: int, processes: int, port: int, overrides: list[str]) -> None:
    """Measure as one of the processes, and print it as JSON."""
    plan = planned(overrides, processes)
    world = World()
    if processes > 1:
        world = ProcessWorld(Board.at("127.0.0.1", port, holds=False), rank, processes, plan.device, 600)
    seed = plan.settings.seed
    engine = Engine(plan.recipe, plan.make_optimizer, seed=seed, device=plan.device, world=world)
    data = TrainData(plan.recipe, plan.phases, seed=seed, workers=0, device=plan.device, world=world)
    batches = [(list(read), parts) for read, parts in (data.read(0, step) for step in range(WARM_UP + STEPS))]
    times = [timed(lambda: engine.step(read, LR, parts)) for read, parts in batches]  # noqa: B023 - called at once
    found: dict[str, float | list[float]] = {"steps": times[WARM_UP:]}
    if processes > 1:
        gradients = torch.zeros(sum(p.numel() for p in engine.model.parameters()))
        found |= {
            "one step's message": median(lambda: world.step_sums([0.0] * 100), MESSAGES),
            f"sum of {gradients.numel():,} gradients": median(lambda: world.add_up([gradients]), SUMS),
            "a broadcast word of rank 0": median(lambda: world.broadcast("go"), MESSAGES),
        }
    print(json.dumps(found))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median(work: Callable[[], object], times: int) -> float:
    """Return the median of its seconds."""
    return statistics.median(timed(work) for _ in range(times))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        one_of_them(*map(int, sys.argv[2:5]), sys.argv[5:])
    else:
        main(sys.argv[1:] or list(USUAL))
