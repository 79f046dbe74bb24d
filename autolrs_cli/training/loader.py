"""Reading a stream at any position, in this process or ahead of time in worker processes."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from autolrs_cli.contracts import Batch, EvalStream, Noticing, Position, TrainStream
from autolrs_cli.errors import AutoLRSError, TrainingError, WorkerDiedError
from autolrs_cli.signals import LIKE_TERM
from autolrs_cli.training.shared_memory import PREFETCH, shared, travels_in_pipe

WORKER_DIED = (
    "Every loader worker must stay alive, but one died. If memory ran out, lower runtime.workers (0: none)."
)
# How long to wait for a batch before asking whether to stop.
PATIENCE_SECONDS = 1.0
_TORCH_TIMED_OUT = "DataLoader timed out"

# Torch raises a plain RuntimeError for a worker that died; errors raised by a living worker's code name it too.
TORCH_SAYS = "DataLoader worker (pid"


@dataclass(frozen=True)
class _Packed:
    """A batch on its way between processes."""

    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Noted:
    """A batch, and what its stream said of it."""

    batch: Batch | _Packed
    notices: tuple[str, ...]


_Read: TypeAlias = "Batch | _Packed | _Noted | AutoLRSError"
Notice: TypeAlias = Callable[[str], None]


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
    ) -> None:
        self._positions = _PositionsFrom(phase, stream.micro_batches, rank)
        self._device = device
        self._notice = notice
        self._waiting = waiting
        self._between_steps = True
        self.micro_batches = stream.micro_batches
        dataset = _Batches(stream)
        self._source: Iterable[_Read] = (
            _workers(dataset, self._positions, workers, device)
            if workers
            else map_lazily(dataset, self._positions)
        )
        self._batches: Iterator[_Read] | None = None
        self._next_step = 0

    def seek(self, step: int) -> None:
        """Make `step` (within the phase) the next one read; going on where one is costs nothing."""
        if self._batches is not None and step == self._next_step:
            return
        self._positions.first_step = self._next_step = step
        self._batches = _begin(self._source, self._wait)

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
            yield to_device(next(self._batches), self._device, self._notice)

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
    dataset, indices = _Batches(stream), range(share[0], stream.num_batches, share[1])
    source: Iterable[_Read] = (
        _workers(dataset, indices, workers, device) if workers else map_lazily(dataset, indices)
    )
    for batch in _begin(source):
        yield to_device(batch, device, notice)


def to_device(batch: _Read, device: torch.device, notice: Notice = unheard) -> Batch:
    """Move a batch, keeping its memory format; asynchronously where the batch is pinned."""
    if isinstance(batch, AutoLRSError):
        raise batch
    if isinstance(batch, _Noted):
        for said in batch.notices:
            notice(said)
        batch = batch.batch
    if isinstance(batch, _Packed):
        batch = {name: torch.from_numpy(array) for name, array in batch.arrays.items()}
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


class map_lazily:  # noqa: N801 - reads as the function it is, but can be iterated again
    """Iterate `dataset[key]` over `keys`; every `iter()` starts anew."""

    def __init__(self, dataset: _Batches, keys: Iterable[Any]) -> None:
        self._dataset = dataset
        self._keys = keys

    def __iter__(self) -> Iterator[_Read]:
        return (self._dataset[key] for key in self._keys)


class _Batches(Dataset["_Read"]):
    """A stream's batches; an error that a person can act on comes as a value.

    Raised in a worker, it would reach the person wrapped in that worker's traceback.
    """

    def __init__(self, stream: TrainStream | EvalStream) -> None:
        self._stream = stream
        # Asked once: telling whether a class has a protocol's methods costs a tenth of a small model's forward pass.
        self._noticing = stream if isinstance(stream, Noticing) else None

    def __getitem__(self, place: Any) -> _Read:
        try:
            batch = self._stream.batch(place)
            read = _pack(batch) if get_worker_info() is not None else batch
        except AutoLRSError as error:
            return error
        notices = self._noticing.notices() if self._noticing is not None else ()
        return _Noted(read, tuple(notices)) if notices else read


def _pack(batch: Batch) -> Batch | _Packed:
    """Return a small batch as arrays, a large one in shared memory.

    Torch sends each tensor between processes as a file of its own, which costs a few tenths of a millisecond whatever
    its size: a fifth of a step of a small model on token ids. Arrays go through the pipe.
    """
    if travels_in_pipe(batch):
        return _Packed({name: tensor.numpy() for name, tensor in batch.items()})
    return shared(batch)


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


def _workers(dataset: _Batches, keys: Iterable[Any], workers: int, device: torch.device) -> DataLoader[_Read]:
    return DataLoader(
        dataset,
        batch_size=None,  # the dataset already returns whole micro-batches
        sampler=keys,
        num_workers=workers,
        prefetch_factor=PREFETCH,
        persistent_workers=isinstance(
            keys, Sampler
        ),  # seeking restarts the iterator: 4 ms, against 45 for a fork
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_interrupts,
        # Without one of its own, the loader draws its base seed from the global state that drives dropout.
        generator=torch.Generator(),
    )


def _begin(source: Iterable[_Read], waiting: Callable[[], None] = lambda: None) -> Iterator[_Read]:
    """Start reading; `waiting` is called now and then while a worker's batch is waited for.

    Torch makes a dying worker raise in the training process, wherever that is: in the middle of writing a checkpoint,
    for example. Reading notices by itself, within `PATIENCE_SECONDS`, and there it can be dealt with.
    """
    batches = iter(source)
    if not isinstance(source, DataLoader):
        return batches
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return _from_workers(batches, waiting)


def _from_workers(batches: Iterator[_Read], waiting: Callable[[], None]) -> Iterator[_Read]:
    """Yield what workers read.

    Raises:
        WorkerDiedError: if one of them died.
    """
    while True:
        try:
            _limit(batches, PATIENCE_SECONDS)
            batch = next(batches)
        except StopIteration:
            return
        except (ConnectionError, EOFError) as error:  # its end of a pipe is gone
            raise WorkerDiedError(f"{WORKER_DIED} ({error})") from error
        except RuntimeError as error:
            if str(error).startswith(_TORCH_TIMED_OUT):
                _require_pinning(batches)
                waiting()
                continue  # it has lost nothing: the batch is still to come
            if TORCH_SAYS not in str(error):
                raise
            raise WorkerDiedError(f"{WORKER_DIED} ({error})") from error
        finally:
            _limit(batches, 0)
        yield batch


def _limit(batches: Iterator[_Read], seconds: float) -> None:
    """Let torch wait for a batch no longer than this; 0: as long as it takes.

    Its own setting would also hold while workers go back to another step, where giving up loses the place. A torch
    that does not have this attribute waits for ever, as it does by default.
    """
    setattr(batches, "_timeout", seconds)  # noqa: B010 - not of the class that torch lets us see


def _require_pinning(batches: Iterator[_Read]) -> None:
    """Check that the thread that pins batches for the device lives; torch asks for that only when it does not time out.

    Raises:
        TrainingError: if it does not.
    """
    thread = getattr(batches, "_pin_memory_thread", None)
    if thread is not None and not thread.is_alive():
        raise TrainingError(
            "Batches must be pinned for the device, but the thread that does it has ended. Resume the run."
        )


def _ignore_interrupts(_: int) -> None:
    # Ctrl-C and a lost terminal reach the whole process group; the training process alone decides when to stop.
    # SIGTERM must still end a worker: a leaving training process sends it to those that have not ended by themselves.
    for number in (signal.SIGINT, *LIKE_TERM):
        signal.signal(number, signal.SIG_IGN)
