"""What is read of a stream, here or in worker processes; how it travels from there, and what if a worker dies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from autolrs_cli.contracts import Batch, EvalStream, Noticing, TrainStream
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
class Packed:
    """A batch on its way between processes."""

    arrays: dict[str, NDArray[Any]]

    def unpacked(self) -> Batch:
        """Return it, in the same memory."""
        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}

    def pin_memory(self) -> Batch:
        """Return it pinned: what torch's pinning thread asks of other people's classes."""
        return {name: tensor.pin_memory() for name, tensor in self.unpacked().items()}


@dataclass(frozen=True)
class Noted:
    """A batch, and what its stream said of it."""

    batch: Batch | Packed
    notices: tuple[str, ...]

    def pin_memory(self) -> Noted:
        """Return the same with a pinned batch."""
        batch = self.batch.unpacked() if isinstance(self.batch, Packed) else self.batch
        return Noted({name: tensor.pin_memory() for name, tensor in batch.items()}, self.notices)


Read: TypeAlias = "Batch | Packed | Noted | AutoLRSError"


class map_lazily:  # noqa: N801 - reads as the function it is, but can be iterated again
    """Iterate `dataset[key]` over `keys`; every `iter()` starts anew."""

    def __init__(self, dataset: Batches, keys: Iterable[Any]) -> None:
        self._dataset = dataset
        self._keys = keys

    def __iter__(self) -> Iterator[Read]:
        return (self._dataset[key] for key in self._keys)


class Batches(Dataset["Read"]):
    """A stream's batches; an error that a person can act on comes as a value.

    Raised in a worker, it would reach the person wrapped in that worker's traceback.
    """

    def __init__(self, stream: TrainStream | EvalStream) -> None:
        self._stream = stream
        # Asked once: telling whether a class has a protocol's methods costs a tenth of a small model's forward pass.
        self._noticing = stream if isinstance(stream, Noticing) else None

    def __getitem__(self, place: Any) -> Read:
        try:
            batch = self._stream.batch(place)
            read = _pack(batch) if get_worker_info() is not None else batch
        except AutoLRSError as error:
            return error
        notices = self._noticing.notices() if self._noticing is not None else ()
        return Noted(read, tuple(notices)) if notices else read


def _pack(batch: Batch) -> Batch | Packed:
    """Return a small batch as arrays, a large one in shared memory.

    Torch sends each tensor between processes as a file of its own, which costs a few tenths of a millisecond whatever
    its size: a fifth of a step of a small model on token ids. Arrays go through the pipe.
    """
    if travels_in_pipe(batch):
        return Packed({name: tensor.numpy() for name, tensor in batch.items()})
    return shared(batch)


def reader(dataset: Batches, keys: Iterable[Any], workers: int, device: torch.device) -> DataLoader[Read]:
    """Return what reads `dataset[key]` over `keys` in so many processes, pinned where the device is CUDA's."""
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


def begin(source: Iterable[Read], waiting: Callable[[], None] = lambda: None) -> Iterator[Read]:
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


def _from_workers(batches: Iterator[Read], waiting: Callable[[], None]) -> Iterator[Read]:
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


def _limit(batches: Iterator[Read], seconds: float) -> None:
    """Let torch wait for a batch no longer than this; 0: as long as it takes.

    Its own setting would also hold while workers go back to another step, where giving up loses the place. A torch
    that does not have this attribute waits for ever, as it does by default.
    """
    setattr(batches, "_timeout", seconds)  # noqa: B010 - not of the class that torch lets us see


def _require_pinning(batches: Iterator[Read]) -> None:
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
