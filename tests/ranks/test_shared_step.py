"""A step that several processes share, against the same step on one: threads stand for the processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolrs_cli.contracts import Batch, ParameterGroup, Position
from autolrs_cli.errors import UnusableDataError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.training.batch_norm import first_batches
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import AgreedStop, RunInterrupted
from autolrs_cli.training.world import Rider, World

T = TypeVar("T")
CPU = torch.device("cpu")


class Table:
    """What the threads lay down and take up in turns."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=60)
        self.said: list[Any] = [None] * size


class ThreadWorld(World):
    def __init__(self, table: Table, rank: int) -> None:
        self.rank, self.size = rank, len(table.said)
        self._table, self._riders = table, list[Rider]()

    def gather(self, said: T) -> list[T]:
        self._table.said[self.rank] = said
        self._table.barrier.wait()
        heard = list(self._table.said)
        self._table.barrier.wait()
        return heard

    def step_sums(self, values: Sequence[float]) -> Sequence[float]:
        said = [list(values), *(list(rider.says()) for rider in self._riders)]
        everything = self.gather(said)
        own, *others = ([sum(x) for x in zip(*parts, strict=True)] for parts in zip(*everything, strict=True))
        for rider, sums in zip(self._riders, others, strict=True):
            rider.hears(sums)
        return own

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        everything = self.gather([tensor.clone() for tensor in tensors])
        for place, tensor in enumerate(tensors):
            tensor.copy_(sum(parts[place] for parts in everything))

    def carry(self, rider: Rider) -> None:
        self._riders.append(rider)


class Model(nn.Module):
    """Two ways through, one of which a batch need not take, and one parameter that none does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.one = nn.Linear(3, 2)
        self.other = nn.Linear(3, 2)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor, way: Tensor) -> Tensor:
        return (self.other if way.any() else self.one)(self.norm(x))


class Learner:
    example_unit = "rows"

    def model(self) -> nn.Module:
        return Model().double()

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        return [ParameterGroup("all", list(model.parameters()))]

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        weights = batch["weights"]
        losses = F.cross_entropy(model(batch["x"], batch["way"]), batch["y"], reduction="none")
        return (losses * weights).sum(), float(weights.sum())

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        return {"loss": self.loss(model, batch)}

    def examples(self, batch: Batch) -> int:
        return len(batch["y"])


def batch(rows: int, seed: int, way: bool = False) -> Batch:
    stream = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(rows, 3, generator=stream, dtype=torch.float64),
        "y": torch.randint(0, 2, (rows,), generator=stream),
        "weights": torch.randint(1, 5, (rows,), generator=stream).double(),
        "way": torch.full((rows,), way),
    }


def engine(world: World | None = None) -> Engine:
    def make(groups: list[ParameterGroup]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            [{"params": g.parameters, "lr_ratio": 1.0} for g in groups], lr=0.1, weight_decay=0.1
        )

    return Engine(Learner(), make, seed=0, device=CPU, world=world)  # type: ignore[arg-type]


def together(size: int, work: Callable[[World], T]) -> list[T]:
    """Do `work` in as many threads; each makes its engine from the global random state, so one after the other."""
    table = Table(size)
    with ThreadPoolExecutor(size) as pool:
        return [f.result() for f in [pool.submit(work, ThreadWorld(table, rank)) for rank in range(size)]]


PARTS = (
    [batch(5, 1), batch(3, 2)],
    [batch(7, 3), batch(2, 4)],
    [batch(4, 5, way=True), batch(0, 6)],
)


def test_parts_of_unequal_weight_make_the_same_step_as_one_process() -> None:
    """Unequal weights, an empty micro-batch, and a layer that only one process goes through."""
    alone = engine()
    used = [b for part in PARTS for b in part if len(b["y"])]
    expected = [alone.step(used, 0.01, 6) for _ in range(3)]
    lock = threading.Lock()

    def work(world: World) -> tuple[list[tuple[float, int]], dict[str, Tensor]]:
        with lock:
            own = engine(world)
        steps = [own.step(PARTS[world.rank], 0.01, 2) for _ in range(3)]
        return steps, own.model.state_dict()

    results = together(3, work)
    for steps, state in results:
        assert steps == results[0][0]
        assert all(state[name].equal(results[0][1][name]) for name in state)
    for (loss, examples), (wanted, count) in zip(results[0][0], expected, strict=True):
        assert loss == pytest.approx(wanted, rel=1e-12)
        assert examples == count
    found, wanted_state = results[0][1], alone.model.state_dict()
    for name, parameter in alone.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-9, atol=1e-12)
    assert found["unused"].equal(wanted_state["unused"])  # no gradient anywhere: no decay either


def test_a_step_without_a_term_anywhere_is_refused_by_all() -> None:
    lock = threading.Lock()

    def work(world: World) -> str:
        with lock:
            own = engine(world)
        with pytest.raises(UnusableDataError, match="at least one term"):
            own.step([batch(0, 1)], 0.1)
        return "refused"

    assert together(2, work) == ["refused", "refused"]


def test_what_batch_norm_is_estimated_on_leaves_out_empty_parts() -> None:
    class Parts:
        micro_batches = 1

        def batch(self, position: Position) -> Batch:
            return batch(3 - 3 * position.rank, position.step)

    class Few(Learner):
        def sharing_problems(self, world_size: int) -> list[str]:
            return []

        def train_stream(self, phase: int, seed: int, world_size: int = 1) -> Parts:
            return Parts()

    found = first_batches(Few(), 0, 4, CPU, 2)  # type: ignore[arg-type]
    assert [len(each["y"]) for each in found] == [3, 3]


def test_held_out_batches_are_shared_out() -> None:
    """The mean is over all batches, and the same on a process that has none of them."""
    batches = [batch(rows, rows) for rows in (5, 3, 4, 6)]
    wanted = engine().measure(batches)
    lock = threading.Lock()

    def work(world: World) -> dict[str, float]:
        with lock:
            own = engine(world)
        return own.measure(batches[world.rank :: world.size])

    for size in (2, 3, 5):
        results = together(size, work)
        assert all(result == results[0] for result in results)
        assert results[0] == pytest.approx(wanted, rel=1e-12)


def test_whoever_is_asked_to_stop_all_stop_after_the_same_step() -> None:
    lock = threading.Lock()

    def work(world: World) -> tuple[int, EndCause]:
        with lock:
            own = engine(world)
        stop = AgreedStop()
        world.carry(stop)
        for step in range(10):
            try:
                stop.check()
            except RunInterrupted as stopped:
                return step, stopped.cause
            if world.rank == 1 and step == 4:
                stop._asked(15, None)
            own.step([batch(4, step)], 0.1)
        raise AssertionError("it never stopped")

    assert together(2, work) == [(5, EndCause.SIGTERM)] * 2
