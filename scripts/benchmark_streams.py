"""What reading data costs: tokens per second of each stream alone, and what it adds to a training step.

    python scripts/benchmark_streams.py                              # all recipes at scale=demo
    python scripts/benchmark_streams.py recipe=bert scale=bench      # one, with overrides of `autolrs train`

A training step on batches that lie in memory is compared with the same step on batches from the loader; both
alternate in short rounds, so that a noisy neighbour hits both. Ratios say what is divided by what.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from plans import plan_of

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.loader import TrainLoader

RECIPES = ("resnet50", "transformer", "bert")
WORKERS = 2
ROUNDS = 10
# Many more than the loader's workers hold ready, so that what they read ahead between rounds does not count.
STEPS = 50
REFILL_SECONDS = 0.3


def measure(plan: Plan) -> None:
    """Print the figures of every phase of a recipe."""
    for phase, description in enumerate(plan.phases):
        name = f"{plan.recipe.name} scale={plan.settings.scale}, phase {description.name}"
        alone = examples_per_second(plan, phase)
        unit = plan.recipe.example_unit
        print(f"{name}: stream alone {alone:,.0f} {unit}/s in one process")
        in_memory, loaded = training(plan, phase, 0), training(plan, phase, WORKERS)
        times = {"memory": [], "loader": []}
        next(in_memory), next(loaded)
        for number in range(ROUNDS):
            pair = [("memory", in_memory), ("loader", loaded)]
            for kind, steps in pair if number % 2 else reversed(pair):
                times[kind].append(next(steps))
                time.sleep(REFILL_SECONDS)
        ratios = [b[0] / a[0] for a, b in zip(times["memory"], times["loader"], strict=True)]
        rate = statistics.median(examples / seconds for seconds, examples in times["loader"])
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name}: training {rate:,.0f} {unit}/s with {WORKERS} workers; step with the loader / step from memory "
            f"= {statistics.median(ratios):.3f} (quartiles {low:.3f} to {high:.3f}; wanted: at most 1.05)"
        )


def examples_per_second(plan: Plan, phase: int) -> float:
    """Read the stream in this process, as fast as it goes, after a first step that fills its caches."""
    stream = plan.recipe.train_stream(phase, 0)

    def read(step: int) -> int:
        positions = (Position(phase, step, micro) for micro in range(stream.micro_batches))
        return sum(plan.recipe.examples(stream.batch(position)) for position in positions)

    read(0)
    start = time.perf_counter()
    count = sum(read(step) for step in range(1, 1 + ROUNDS * STEPS))
    return count / (time.perf_counter() - start)


def training(plan: Plan, phase: int, workers: int) -> Iterator[tuple[float, int]]:
    """Yield (seconds per step, examples per step) of rounds of training steps; without workers, from memory."""
    recipe, runtime = plan.recipe, plan.settings.runtime
    engine = Engine(recipe, plan.make_optimizer, seed=0, device=plan.device, precision=runtime.precision)
    stream = recipe.train_stream(phase, 0)
    loader = TrainLoader(stream, phase, workers, plan.device)
    read: Callable[[int], Iterator[Batch]] = lambda _: loader.read()  # noqa: E731
    if not workers:
        # The same steps in every round: what they cost beside reading does not depend on what was learnt.
        kept = [list(loader.read()) for _ in range(STEPS * (ROUNDS + 1))]
        read = lambda step: iter(kept[step])  # noqa: E731
    steps = itertools.count()
    while True:
        examples, start = 0, time.perf_counter()
        for step in itertools.islice(steps, STEPS):
            examples += engine.step(read(step), 1e-5, loader.micro_batches)[1]
        yield (time.perf_counter() - start) / STEPS, examples // STEPS


def main() -> None:
    """Measure the recipe that was named with its overrides, or all at scale=demo."""
    overrides = sys.argv[1:]
    if any(argument in ("-h", "--help") for argument in overrides):
        print(__doc__)
        return
    chosen = [overrides] if any(o.startswith("recipe=") for o in overrides) else None
    for each in chosen or [[f"recipe={recipe}", *overrides] for recipe in RECIPES]:
        measure(plan_of(*each))


if __name__ == "__main__":
    main()
