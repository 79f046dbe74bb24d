"""The steps that `benchmark_gpu.py` times, from bare kernels to a real run.

They also work with the packages of a checkout from before it, whose runs are timed beside ours.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from autolrs_cli.contracts import Batch, Position, Segment
from autolrs_cli.records.journal import Journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.trainer import Trainer

LR = 1e-4
WARM_UP = 24
"""Steps before any is timed, and batches that lie on the device."""
Steps = Callable[[int], None]
"""Makes so many steps."""


def placed(plan: Plan, mode: str) -> list[Batch]:
    """Return the first batches of a run, on its device, as a run has them."""
    stream = plan.recipe.train_stream(0, 0)
    read = [stream.batch(Position(0, step, 0)) for step in range(WARM_UP)]
    with suppress(ImportError):  # a checkout from before this script
        from autolrs_cli.training.loss_function import shaped
        from autolrs_cli.training.placing import Placing

        placing = Placing(plan.device, shaped(plan.recipe, mode))
        return [placing.place(batch) for batch in read]
    return [{name: tensor.to(plan.device) for name, tensor in batch.items()} for batch in read]


def loss_of(plan: Plan, mode: str) -> Callable[..., Any]:
    """Return the loss, compiled or not."""
    with suppress(ImportError):
        from autolrs_cli.training.loss_function import loss_function

        return loss_function(plan.recipe, mode)
    return plan.recipe.loss


def by_hand(plan: Plan, mode: str) -> Callable[[Iterator[Batch], int, int], None]:
    """Return a plain training loop: over so many batches, the loss read every so often."""
    torch.manual_seed(0)
    model = plan.recipe.model().to(plan.device).train()
    optimizer = plan.make_optimizer(plan.recipe.parameter_groups(model))
    for group in optimizer.param_groups:
        group["lr"] = LR
    loss_and_weight = loss_of(plan, mode)
    bf16 = plan.settings.runtime.precision == "bf16"

    def steps(batches: Iterator[Batch], count: int, every: int) -> None:
        for number, batch in enumerate(itertools.islice(batches, count), 1):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(plan.device.type, torch.bfloat16, enabled=bf16):
                loss, weight = loss_and_weight(model, batch)
            (loss / weight).backward()
            optimizer.step()
            if every and number % every == 0:
                loss.item()

    return steps


def loaded(plan: Plan) -> Iterator[Batch]:
    """Yield batches as a person's DataLoader would."""
    stream, workers = plan.recipe.train_stream(0, 0), plan.settings.runtime.workers
    dataset: Any = _Indexed(stream)
    pinned = plan.device.type == "cuda"
    loader: Any = DataLoader(dataset, batch_size=None, num_workers=workers, pin_memory=pinned)
    for batch in loader:
        moved = {name: tensor.to(plan.device, non_blocking=True) for name, tensor in batch.items()}
        yield counted(moved, batch)


def counted(moved: Batch, host: Batch) -> Batch:
    """Return a batch whose examples are counted on the CPU, as a person would do it."""
    with suppress(ImportError):
        from autolrs_cli.contracts import PlacedBatch

        return PlacedBatch(moved, host)
    return moved


class _Indexed(Dataset[Any]):
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, step: int) -> Batch:
        batch: Batch = self.stream.batch(Position(0, step, 0))
        return batch


def on_engine(trainer: Trainer, batches: Sequence[Batch]) -> Steps:
    """Return what makes the engine's steps, each loss read when the next step was made."""
    endless = itertools.cycle(batches)

    def steps(count: int) -> None:
        before: Any = 0.0
        for batch in itertools.islice(endless, count):
            loss, _ = trainer.engine.step([batch], LR, 1)
            float(before)
            before = loss
        float(before)

    return steps


def in_run(trainer: Trainer) -> Steps:
    """Return what makes the steps of a run."""
    done = 0

    def steps(count: int) -> None:
        nonlocal done
        trainer.keep(Segment("schedule", 0, done, count), lambda _: LR)
        done += count

    return steps


def trainer_of(plan: Plan, folder: Path) -> Trainer:
    """Return the trainer of a run in an empty folder."""
    folder.mkdir()
    journal = Journal(folder / "journal.jsonl", started=time.perf_counter())
    return make_trainer(plan, RunDirectory(folder), journal, Ledger(time.perf_counter()), StopRequest())


def parts_of(plan: Plan, mode: str, folder: Path) -> tuple[Trainer, dict[str, Steps]]:
    """Return what is timed, by name; the trainer of the run among them."""
    batches, trainer = placed(plan, mode), trainer_of(plan, folder)
    bare, endless = by_hand(plan, mode), itertools.cycle(batches)
    parts: dict[str, Steps] = {
        "bare": lambda count: bare(endless, count, 0),
        "engine": on_engine(trainer, batches),
        "run": in_run(trainer),
    }
    if mode == "none":  # compiled, it is the bare one with a loader
        hand, read, every = by_hand(plan, mode), loaded(plan), plan.settings.run.log_every_steps
        parts["hand"] = lambda count: hand(read, count, every)
    return trainer, parts
