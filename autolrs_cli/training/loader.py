"""Reading a stream at any position, in this process or ahead of time in worker processes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.utils.data import Sampler

from autolrs_cli.contracts import Batch, EvalStream, Position, TrainStream
from autolrs_cli.errors import AutoLRSError
from autolrs_cli.training.placing import Moving, Placing
from autolrs_cli.training.workers import Batches, Noted, Packed, Read, begin, map_lazily, reader

Notice: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class _Begun:
    """A batch that was read and is on its way to the device, and what its stream said of it."""

    moving: Moving
    notices: tuple[str, ...]


def unheard(notice: str) -> None:
    """Let a notice pass."""


class TrainLoader:
    """The micro-batches of consecutive steps, from any step on.

    Args:
        stream: where the content comes from.
        phase: the phase that `stream` belongs to.
        workers: loader processes; 0 reads in this process. The batches are the same.
        device: where batches go.
        rank: this process's place among those that share the global batch.
        notice: told what the stream has to say of the batches, when they are read.
        waiting: called now and then while a step's first micro-batch is waited for; may raise, to stop there. Later in
            a step nobody may stop: half of it is done.
        placing: moves batches to the device; None: as they are.
    """

    def __init__(
        self,
        stream: TrainStream,
        phase: int,
        workers: int,
        device: torch.device,
        rank: int = 0,
        notice: Notice = unheard,
        waiting: Callable[[], None] = lambda: None,
        placing: Placing | None = None,
    ) -> None:
        self._positions = _PositionsFrom(phase, stream.micro_batches, rank)
        self._placing = placing or Placing(device)
        self._ahead: _Begun | Exception | None = None
        self._notice = notice
        self._waiting = waiting
        self._between_steps = True
        self.micro_batches = stream.micro_batches
        dataset = Batches(stream)
        self._source: Iterable[Read] = (
            reader(dataset, self._positions, workers, device)
            if workers
            else map_lazily(dataset, self._positions)
        )
        self._batches: Iterator[Read] | None = None
        self._next_step = 0

    def seek(self, step: int) -> None:
        """Make `step` (within the phase) the next one read; going on where one is costs nothing."""
        if self._batches is not None and step == self._next_step:
            return
        self._positions.first_step = self._next_step = step
        self._batches = begin(self._source, self._wait)
        self._ahead = None

    def read(self) -> Iterator[Batch]:
        """Yield the micro-batches of the next step, on the device, each when it is asked for.

        Raises:
            AutoLRSError: what the stream raised, also in a worker.
        """
        if self._batches is None:
            self.seek(self._next_step)
        assert self._batches is not None
        self._next_step += 1
        for micro in range(self.micro_batches):
            self._between_steps = micro == 0
            yield self._taken(self._batches)

    def read_ahead(self) -> None:
        """Begin to move the next micro-batch to the device, where that takes time.

        What goes wrong is raised when the batch is asked for: perhaps it never is.
        """
        if not self._placing.is_ahead or self._batches is None or self._ahead is not None:
            return
        self._between_steps = True
        try:
            self._ahead = _begun(next(self._batches), self._placing)
        except Exception as error:
            self._ahead = error

    def _taken(self, batches: Iterator[Read]) -> Batch:
        ahead, self._ahead = self._ahead, None
        if isinstance(ahead, Exception):
            raise ahead
        return _finished(ahead or _begun(next(batches), self._placing), self._placing, self._notice)

    def _wait(self) -> None:
        if self._between_steps:
            self._waiting()


def read_all(
    stream: EvalStream,
    workers: int,
    device: torch.device,
    notice: Notice = unheard,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yield the batches of a held-out slice, on the device; `notice` is told what the stream has to say.

    `share` is (r, n) for batches r, r + n, r + 2n, ...: of n processes, what process r measures.
    """
    dataset, indices = Batches(stream), range(share[0], stream.num_batches, share[1])
    source: Iterable[Read] = (
        reader(dataset, indices, workers, device) if workers else map_lazily(dataset, indices)
    )
    placing = Placing(device)
    moving = (_begun(read, placing) for read in begin(source))
    for each in _one_ahead(moving) if placing.is_ahead else moving:
        yield _finished(each, placing, notice)


def _one_ahead(begun: Iterator[_Begun]) -> Iterator[_Begun]:
    """Yield each when the next one was begun."""
    before = next(begun, None)
    while before is not None:
        after = next(begun, None)
        yield before
        before = after


def _begun(read: Read, placing: Placing) -> _Begun:
    """Begin to move what was read.

    Raises:
        AutoLRSError: if it is one.
    """
    if isinstance(read, AutoLRSError):
        raise read
    batch, notices = (read.batch, read.notices) if isinstance(read, Noted) else (read, ())
    return _Begun(placing.begin(batch.unpacked() if isinstance(batch, Packed) else batch), notices)


def _finished(begun: _Begun, placing: Placing, notice: Notice) -> Batch:
    for said in begun.notices:
        notice(said)
    return placing.finish(begun.moving)


class _PositionsFrom(Sampler[Position]):
    """Every position from the first micro-batch of `first_step` on, without end."""

    def __init__(self, phase: int, micro_batches: int, rank: int) -> None:
        self.first_step = 0
        self._phase = phase
        self.micro_batches = micro_batches
        self._rank = rank

    def __iter__(self) -> Iterator[Position]:
        for step in itertools.count(self.first_step):
            for micro in range(self.micro_batches):
                yield Position(self._phase, step, micro, self._rank)
