"""Where the time of a step goes: a run's steps over the bare calls that they cannot do without, from one run.

    python scripts/benchmark_step.py                       # every recipe at scale=bench: about a minute on a quiet core
    python scripts/benchmark_step.py bert average=ema      # one recipe, with further settings of the run
    python scripts/benchmark_step.py --against ../before   # the same in another checkout too, round by round

Three things alternate in short rounds, so that a noisy neighbour hits all of them: *bare*, forward, backward and
optimizer on batches that were read before; *read*, the same stream's batches alone; *run*, the steps of a real run
with its journal and its ledger (no evaluation, no checkpoint). CPU seconds of the thread are measured, not the clock.
Two checkouts are measured in two processes that take turns, so that both have the machine as it is.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import PIPE

import torch
from plans import plan_of
from rich.console import Console

from autolrs_cli.contracts import Position, Segment
from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.records.journal import Journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Ledger

RECIPES = ("resnet50", "transformer", "bert")
ROUNDS = 15
STEPS = 20
LR = 1e-3
# A run that neither ends nor measures: what is timed are its steps.
ENDLESS = (
    "schedule=constant",
    "average=none",
    f"run.max_steps={10**9}",
    f"run.eval_every_steps={10**9}",
    "run.checkpoint_every_seconds=1e9",
    "runtime.threads=1",
)


def bare(plan: Plan) -> Callable[[], None]:
    """Forward, backward and optimizer, on batches that were read before."""
    torch.manual_seed(0)
    model = plan.recipe.model().to(plan.device).train()
    optimizer = plan.make_optimizer(plan.recipe.parameter_groups(model))
    for group in optimizer.param_groups:
        group["lr"] = LR
    stream = plan.recipe.train_stream(0, 0)
    batches = itertools.cycle([stream.batch(Position(0, step, 0)) for step in range(3 * STEPS)])

    def steps() -> None:
        for batch in itertools.islice(batches, STEPS):
            optimizer.zero_grad(set_to_none=True)
            loss, weight = plan.recipe.loss(model, batch)
            torch.autograd.backward(loss / weight)
            optimizer.step()

    return steps


def read(plan: Plan) -> Callable[[], None]:
    """The stream's batches alone."""
    stream = plan.recipe.train_stream(0, 0)
    at = itertools.count()

    def steps() -> None:
        for step in itertools.islice(at, STEPS):
            for micro in range(stream.micro_batches):
                stream.batch(Position(0, step, micro))

    return steps


def run(plan: Plan, folder: Path) -> Callable[[], None]:
    """The same steps in a run, with journal, ledger and plain lines."""
    screen = Screen("plain", Console(file=io.StringIO()))
    screen.__enter__()
    journal = Journal(folder / "journal.jsonl", started=time.perf_counter(), listeners=(screen.show,))
    trainer = make_trainer(plan, RunDirectory(folder), journal, Ledger(time.perf_counter()), StopRequest())
    at = itertools.count(0, STEPS)
    return lambda: trainer.keep(Segment("schedule", 0, next(at), STEPS), lambda _: LR)


def rounds_here(recipe: str, overrides: Sequence[str]) -> Iterator[dict[str, float]]:
    """Yield, without end, the seconds that a step of each part takes, measured when the next is asked for."""
    plan = plan_of(f"recipe={recipe}", "scale=bench", *ENDLESS, *overrides)
    with tempfile.TemporaryDirectory() as folder:
        parts = {"bare": bare(plan), "read": read(plan), "run": run(plan, Path(folder))}
        for part in parts.values():
            part()
        for number in itertools.count():
            times = {}
            for name, part in sorted(parts.items(), reverse=bool(number % 2)):
                start = time.thread_time()
                part()
                times[name] = (time.thread_time() - start) / STEPS
            yield times


def rounds_in(checkout: Path, recipe: str, overrides: Sequence[str]) -> Iterator[dict[str, float]]:
    """Yield what `rounds_here` would yield with the packages of another checkout."""
    packages = os.pathsep.join((str(checkout), str(checkout / ".types")))
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", recipe, *overrides]
    with subprocess.Popen(
        command, stdin=PIPE, stdout=PIPE, text=True, env={**os.environ, "PYTHONPATH": packages}
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        while True:
            print(file=child.stdin, flush=True)
            line = child.stdout.readline()
            if not line:
                raise SystemExit(f"The benchmark must run in {checkout}, but it ended there: see above.")
            yield json.loads(line)


def serve(recipe: str, overrides: Sequence[str]) -> None:
    """Write the times of one more round for every line that is read."""
    rounds = rounds_here(recipe, overrides)
    for _ in sys.stdin:
        print(json.dumps(next(rounds)), flush=True)


def measure(recipe: str, overrides: Sequence[str], against: Path | None) -> None:
    """Print the milliseconds of each part, what a run's step costs over the bare one, and how checkouts compare."""
    sources = {"here": rounds_here(recipe, overrides)}
    if against is not None:
        sources["there"] = rounds_in(against.resolve(), recipe, overrides)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
    for number in range(ROUNDS):
        for name, rounds in sorted(sources.items(), reverse=bool(number % 2)):
            found[name].append(next(rounds))
    for name, times in found.items():
        print(f"{recipe} {name}: {_words(times)}", flush=True)
    if against is not None:
        ratios = {
            part: statistics.median(
                a[part] / b[part] for a, b in zip(found["there"], found["here"], strict=True)
            )
            for part in ("bare", "read", "run")
        }
        print(f"{recipe} there / here: " + ", ".join(f"{part} {ratio:.2f}" for part, ratio in ratios.items()))


def _words(times: Sequence[dict[str, float]]) -> str:
    ms = {name: statistics.median(t[name] for t in times) * 1e3 for name in times[0]}
    whole = statistics.median(t["run"] / t["bare"] for t in times)
    without = statistics.median((t["run"] - t["read"]) / t["bare"] for t in times)
    return (
        f"bare {ms['bare']:.2f} ms, reading {ms['read']:.2f} ms, in a run {ms['run']:.2f} ms "
        f"({1e3 / ms['run']:.0f} steps/s); run / bare = {whole:.3f}, without reading {without:.3f}"
    )


def main() -> None:
    """Measure the recipe that was named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", choices=RECIPES, help="by default all")
    parser.add_argument("overrides", nargs="*", help="further settings, as of `autolrs train`")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure another checkout in turn")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.recipe, arguments.overrides)
        return
    for recipe in [arguments.recipe] if arguments.recipe else RECIPES:
        measure(recipe, arguments.overrides, arguments.against)


if __name__ == "__main__":
    main()
