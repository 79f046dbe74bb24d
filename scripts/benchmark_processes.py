"""What a second process brings on this machine, and what agreeing with it costs.

    python scripts/benchmark_processes.py [OVERRIDES]

Times training steps of one process with one thread and of two such processes (gloo), of the same global batch, in
turns, and of a hand-written loop over torch's DistributedDataParallel; then one step's message, and the sum of its
gradients, alone. Only ratios of one call mean anything. DistributedDataParallel takes the mean over processes, where
ours weights each term alike: the loop stands here for its speed.
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
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autolrs_cli.contracts import Batch, Recipe
from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.board import Board
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.process_group import ProcessWorld
from autolrs_cli.training.train_data import TrainData
from autolrs_cli.training.world import World

USUAL = ("recipe=resnet50", "scale=demo", "recipe.micro_batch=null")
ROUNDS, STEPS, WARM_UP, LR = 3, 8, 2, 1e-3
MESSAGES, SUMS = 300, 10


def planned(overrides: list[str], processes: int) -> Plan:
    """Return the plan of a run on so many processes of one thread each."""
    return plan_of(*overrides, "runtime.device=cpu", "runtime.threads=1", f"runtime.processes={processes}")


def main(overrides: list[str]) -> None:
    """Measure in turns and print."""
    planned(overrides, 1)  # its data are then ready
    steps: dict[int, list[float]] = {1: [], 2: []}
    by_hand: list[float] = []
    others: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        for processes in steps:
            found = measured(overrides, processes)
            steps[processes] += found.pop("steps")
            if processes == 2:
                by_hand += found.pop("by hand")
                others.append(found)
    alone, shared = (statistics.median(steps[n]) for n in (1, 2))
    print(" ".join(overrides), f"(load average {os.getloadavg()[0]:.1f})")
    print(f"one process, one thread:    {1000 * alone:8.1f} ms a step")
    print(f"two processes, one thread:  {1000 * shared:8.1f} ms a step, {alone / shared:.2f} times as fast")
    print(f"DistributedDataParallel:    {1000 * statistics.median(by_hand):8.1f} ms a step")
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
    by_hand = hand_written(plan) if processes > 1 else None
    times: dict[str, list[float]] = {"steps": [], "by hand": []}
    for number, (read, parts) in enumerate(batches):
        ways = {"steps": lambda: engine.step(read, LR, parts)}  # noqa: B023 - called at once
        if by_hand is not None:
            ways["by hand"] = lambda: by_hand(read)  # noqa: B023
        for name in sorted(
            ways, reverse=bool(number % 2)
        ):  # in turns: the second one finds the batch at hand
            times[name].append(timed(ways[name]))
    found: dict[str, float | list[float]] = {name: each[WARM_UP:] for name, each in times.items()}
    if processes > 1:
        gradients = torch.zeros(sum(p.numel() for p in engine.model.parameters()))
        found |= {
            "one step's message": median(lambda: world.step_sums([0.0] * 100), MESSAGES),
            f"sum of {gradients.numel():,} gradients": median(lambda: world.add_up([gradients]), SUMS),
            "a broadcast word of rank 0": median(lambda: world.broadcast("go"), MESSAGES),
        }
    print(json.dumps(found))


class LossOf(nn.Module):
    """A recipe's mean loss as a module: recipes call parts of their model, which would leave a wrapper of it out."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe, self.model = recipe, recipe.model()

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss of a micro-batch."""
        loss_sum, weight = self.recipe.loss(self.model, batch)
        return loss_sum / weight


def hand_written(plan: Plan) -> Callable[[list[Batch]], None]:
    """Return a training step as one writes it by hand over DistributedDataParallel."""
    loss_of = LossOf(plan.recipe)
    optimizer = plan.make_optimizer(plan.recipe.parameter_groups(loss_of.model))
    parallel = DistributedDataParallel(loss_of)

    def step(batches: list[Batch]) -> None:
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            parallel(batch).backward()
        optimizer.step()

    return step


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
