"""What autolrs itself costs, as ratios measured in one run (seconds differ between machines and hours).

    python scripts/benchmark.py                 # all of it: about 6 minutes on 2 cores
    python scripts/benchmark.py loop snapshot   # some of it

Every ratio says what is divided by what. Measurements that are compared alternate in short rounds, so that a
noisy neighbour hits both.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from plans import plan_of

from autolrs_cli.contracts import Position, Segment
from autolrs_cli.dashboard.screen import Screen
from autolrs_cli.records.journal import Journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.search import PublishedSearch, SearchSettings, StageSearch, preload
from autolrs_cli.search.ask_tell import Curve
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.recorded_policy import SURROGATE_POINTS
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.trainer import Trainer

ROUNDS = 12
STEPS = 8
# A run that neither ends nor measures: what is timed are its steps.
ENDLESS = (
    "schedule=constant",
    "average=none",
    f"run.max_steps={10**9}",
    f"run.eval_every_steps={10**9}",
    "run.checkpoint_every_seconds=1e9",
)


def engine_of(plan: Plan) -> Engine:
    """Build the engine of a plan."""
    runtime = plan.settings.runtime
    return Engine(plan.recipe, plan.make_optimizer, seed=0, device=plan.device, precision=runtime.precision)


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def hand_written(plan: Plan) -> Callable[[], None]:
    """A plain PyTorch loop of the same recipe: model, SGD, cross-entropy, the same batches, nothing else."""
    torch.manual_seed(0)
    model = plan.recipe.model().to(plan.device)
    optimizer = plan.make_optimizer(plan.recipe.parameter_groups(model))
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
    stream = plan.recipe.train_stream(0, 0)
    at = iter(range(10**9))

    def steps() -> None:
        for _ in range(STEPS):
            batch = stream.batch(Position(0, next(at), 0))
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(batch["images"]), batch["labels"])
            loss.backward()
            optimizer.step()
            loss.item()

    return steps


def ours(plan: Plan, folder: Path) -> tuple[Trainer, Callable[[], None]]:
    """The same steps through the trainer, with journal, ledger and plain lines."""
    screen = Screen("plain", _silent_console())
    screen.__enter__()
    journal = Journal(folder / "journal.jsonl", started=time.perf_counter(), listeners=(screen.show,))
    trainer = make_trainer(plan, RunDirectory(folder), journal, Ledger(time.perf_counter()), StopRequest())
    at = iter(range(0, 10**9, STEPS))
    return trainer, lambda: trainer.keep(Segment("schedule", 0, next(at), STEPS), lambda _: 1e-3)


def _silent_console() -> object:
    import io

    from rich.console import Console

    return Console(file=io.StringIO())


def loop() -> None:
    """Our loop against the hand-written one, at scale=demo (real ResNet-50)."""
    plan = plan_of("recipe=resnet50", *ENDLESS)
    with tempfile.TemporaryDirectory() as folder:
        plain, (_, mine) = hand_written(plan), ours(plan, Path(folder))
        plain(), mine()
        # Which of the two goes first alternates as well.
        times: dict[str, list[float]] = {"plain": [], "ours": []}
        for number in range(ROUNDS):
            for name, run in sorted({"plain": plain, "ours": mine}.items(), reverse=bool(number % 2)):
                times[name].append(seconds(run) / STEPS)
    ratios = [b / a for a, b in zip(times["plain"], times["ours"], strict=True)]
    print(
        f"loop: hand-written {statistics.median(times['plain']) * 1e3:.1f} ms a step, "
        f"ours / hand-written = {statistics.median(ratios):.3f} (median of {ROUNDS} rounds; "
        f"quartiles {quartiles(ratios)}; wanted: at most 1.03)"
    )


def quartiles(values: list[float]) -> str:
    """Return the first and third quartile."""
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3f} to {high:.3f}"


def snapshot() -> None:
    """Save and restore of ResNet-50 with momentum against a bare copy of the same tensors."""
    plan = plan_of("recipe=resnet50")
    engine = engine_of(plan)
    stream = plan.recipe.train_stream(0, 0)
    engine.step([stream.batch(Position(0, 0, 0))], 1e-3)
    live = [*engine.model.parameters(), *engine.model.buffers()]
    live += [v for s in engine.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    copies = [t.detach().clone() for t in live]
    taken = Snapshot(engine.model, engine.optimizer)
    taken.save()

    def bare() -> None:
        with torch.no_grad():
            for a, b in zip(copies, live, strict=True):
                a.copy_(b)

    times = {name: [] for name in ("bare", "save", "restore")}
    for _ in range(ROUNDS * 2):
        times["bare"].append(seconds(bare))
        times["save"].append(seconds(taken.save))
        times["restore"].append(seconds(taken.restore))
        engine.step([stream.batch(Position(0, 1, 0))], 1e-3)
    for name in ("save", "restore"):
        ratio = statistics.median(b / a for a, b in zip(times["bare"], times[name], strict=True))
        print(f"snapshot: {name} / bare copy_ = {ratio:.2f} (wanted: at most 2)")
    state = sum(t.nbytes for t in live)
    print(
        f"snapshot: extra memory / training state = {taken.nbytes / state:.3f} ({state / 1e6:.0f} MB; wanted: 1)"
    )


def search() -> None:
    """Ask, fit and tell: against the trial steps they stand between at scale=demo, and at the paper's size."""
    plan = plan_of("recipe=resnet50", "search=paper")
    assert isinstance(plan.search, PublishedSearch)
    preload()
    step = hand_written(plan)
    step()
    step_seconds = seconds(step) / STEPS
    stage = next(s for s in plan.segments if s.kind == "stage")
    asked, told = questions(plan.search, stage.steps, stage.trial_steps)
    share = (statistics.mean(asked) + statistics.mean(told)) / (step_seconds * stage.trial_steps)
    print(f"search: ask + fit + tell / trial steps = {share:.3f} at scale=demo (wanted: under 0.10)")
    asked, told = questions(plan.search.model_copy(update={"num_trials": 10}), 8000, 800)
    print(
        f"search: with 10 trials of 800 steps, ask + fit {max(asked):.3f} s and tell {max(told):.3f} s at most "
        "(wanted: under 0.5 each)"
    )


def questions(
    settings: SearchSettings, stage_steps: int, trial_steps: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each ask (with the surrogate that the screen shows) and tell of three searches."""
    asked, told = [], []
    noise = torch.Generator().manual_seed(0)
    for seed in range(4):
        found = StageSearch(settings, stage_steps=stage_steps, trial_steps=trial_steps, seed=seed)
        while True:
            start = time.perf_counter()
            found.surrogate(SURROGATE_POINTS)
            trial = found.ask()
            middle = time.perf_counter()
            if trial is None:
                break
            steps = torch.arange(1, trial_steps + 1)
            bowl = (math.log10(trial.lr) + 2) ** 2
            losses = (
                1
                + 0.2 * bowl
                + (-3 * steps / trial_steps).exp()
                + 0.1 * torch.randn(trial_steps, generator=noise)
            )
            start_tell = time.perf_counter()
            found.tell(trial, Curve(steps.tolist(), losses.tolist(), "train"))
            if seed:  # the first search of a process compiles and caches
                asked.append(middle - start)
                told.append(time.perf_counter() - start_tell)
    return asked, told


def bookkeeping() -> None:
    """What a step costs beside its arithmetic: the trainer with an engine that does nothing."""
    plan = plan_of("recipe=resnet50", "scale=tiny", *ENDLESS)

    with tempfile.TemporaryDirectory() as folder:
        trainer, mine = ours(plan, Path(folder))
        trainer.engine.step = lambda *_: (1.0, 32)  # type: ignore[method-assign]
        trainer.data.read = lambda *_: (iter(()), 1)  # type: ignore[method-assign]
        times = [seconds(mine) / STEPS for _ in range(2000)]
    print(
        f"bookkeeping: {statistics.median(times) * 1e6:.1f} microseconds in the median step (wanted: under 100; "
        f"an event is written every {plan.settings.run.log_every_steps} steps here)"
    )


def help_text() -> None:
    """`autolrs --help` against starting Python itself."""

    def start(*arguments: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True))

    helps = [start("-m", "autolrs_cli", "--help") for _ in range(7)]
    bare = [start("-c", "pass") for _ in range(7)]
    print(
        f"help: {statistics.median(helps):.2f} s (wanted: under 0.5), "
        f"autolrs --help / python -c pass = {statistics.median(helps) / statistics.median(bare):.1f}"
    )


PARTS = {"loop": loop, "snapshot": snapshot, "search": search, "bookkeeping": bookkeeping, "help": help_text}


def main() -> None:
    """Run the parts that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which measurements; all by default")
    for name in parser.parse_args().parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
