"""The world of a run on several processes: torch.distributed, and what to do when one of them is lost."""

from __future__ import annotations

import ctypes
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import orjson
import torch
import torch.distributed as dist
from torch import Tensor

from autolrs_cli.errors import LostProcessError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.training.board import Board
from autolrs_cli.training.world import Rider, World

T = TypeVar("T")

# How long those who lost another process look for what it may have said before it ended.
_LAST_WORDS_SECONDS = 2.0
_BEAT_SECONDS = 1.0
_POLL_SECONDS = 0.02
_LOOK = timedelta(seconds=0.5)  # between two looks whether those whom an operation waits for are alive
# A message of this length takes as long as a shorter one, and most objects fit into it.
_HEAD_BYTES, _LENGTH_BYTES = 1016, 8
_FAILED, _OVER = "failed", "over"


def _silent() -> str | None:
    return None


class ProcessWorld(World):
    """One of several processes: gloo carries numbers and objects, and gradients on CPUs; NCCL gradients on GPUs.

    Objects are pickled: whoever can write to the ports of these processes can make them run code, which is so with
    torch.distributed itself.

    Args:
        board: shared by all of them, and by nobody else.
        rank: of this process.
        size: how many there are.
        device: where this one computes.
        timeout_seconds: after so long without an answer, another process is taken for lost.
        obituary: says how another process ended, as far as this one can know.

    Raises:
        LostProcessError: if they do not all come together.
    """

    def __init__(
        self,
        board: Board,
        rank: int,
        size: int,
        device: torch.device,
        timeout_seconds: float,
        obituary: Callable[[], str | None] = _silent,
    ) -> None:
        self.rank = rank
        self.size = size
        self._board = board
        self._timeout_seconds = timeout_seconds
        self._obituary = obituary
        self._riders: list[Rider] = []
        self._solos = 0
        self._lost = self._connected = self._under_way = False
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with self._talking():
            dist.init_process_group(
                backend,
                store=board.part("group").store,
                rank=rank,
                world_size=size,
                timeout=timedelta(seconds=timeout_seconds),
            )
        self._connected = True

    def step_sums(self, values: Sequence[float]) -> Sequence[float]:
        """Return the sums over all processes, in float64; riders go along."""
        said = [list(values), *(list(rider.says()) for rider in self._riders)]
        message = torch.tensor([value for part in said for value in part], dtype=torch.float64)
        with self._talking():
            self._end(dist.all_reduce(message, async_op=True))
        sums, place = message.tolist(), len(said[0])
        for rider, part in zip(self._riders, said[1:], strict=True):
            rider.hears(sums[place : place + len(part)])
            place += len(part)
        return list(sums[: len(said[0])])

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, on the device that is trained on, by its sum over all processes."""
        with self._talking():
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                self._end(work, on_gpu=tensors[0].is_cuda)

    def broadcast(self, said: T) -> T:
        """Return what rank 0 says; usually in one message, whose beginning is as long for all."""
        data = pickle.dumps(said) if self.rank == 0 else b""
        head = _packed(len(data).to_bytes(_LENGTH_BYTES) + data[:_HEAD_BYTES], _LENGTH_BYTES + _HEAD_BYTES)
        with self._talking():
            self._end(dist.broadcast(head, 0, async_op=True))
            received = head.numpy().tobytes()
            length = int.from_bytes(received[:_LENGTH_BYTES])
            rest = _packed(data[_HEAD_BYTES:], max(0, length - _HEAD_BYTES))
            if len(rest):
                self._end(dist.broadcast(rest, 0, async_op=True))
        if self.rank == 0:
            return said
        found: T = _loaded(received[_LENGTH_BYTES : _LENGTH_BYTES + length] + rest.numpy().tobytes())
        return found

    def gather(self, said: T) -> list[T]:
        """Return what each process says, by rank."""
        data = pickle.dumps(said)
        with self._talking():
            lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            self._end(dist.all_gather(lengths, torch.tensor([len(data)]), async_op=True))
            longest = max(map(int, lengths))
            messages = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.size)]
            self._end(dist.all_gather(messages, _packed(data, longest), async_op=True))
        return [_unpacked(message[: int(n)]) for message, n in zip(messages, lengths, strict=True)]

    def on_first(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, done on rank 0 alone; the others wait for it however long it takes.

        A pulse on the board tells them that rank 0 is alive, so that no timeout has to be as long as the work; and the
        work ends if one of them is gone, where that can be known.
        """
        self._solos += 1
        key = f"solo/{self._solos}"
        if self.rank == 0:
            try:
                with self._pulse(f"{key}/beat"):
                    result = work()
            except _LostMeanwhileError as error:
                raise self._account_of(error) from None
            with self._talking():
                self._board.write(f"{key}/done", pickle.dumps(result))
            return result
        with self._talking():
            found: T = _loaded(self._wait_for(f"{key}/done", f"{key}/beat"))
        return found

    def carry(self, rider: Rider) -> None:
        """Let `rider` go along with each step's message from now on."""
        self._riders.append(rider)

    def leave(self, cause: EndCause, reason: str | None) -> None:
        """Agree on nothing any more; the others hear why this process ends, if they have not agreed on it."""
        with suppress(RuntimeError):
            told = self._lost or cause in (EndCause.DONE, EndCause.PROCESS_LOST)
            if not told and not self._board.has(_FAILED):
                self._board.write(_FAILED, orjson.dumps([self.rank, cause, reason]))
        self._let_go()

    def close(self) -> None:
        """Part after an end that all agree on: rank 0 last, since whoever started all may end it when another ends."""
        deadline = time.monotonic() + self._timeout_seconds
        with suppress(RuntimeError):  # then the board is gone, and rank 0 with it
            if self.rank == 0:
                self._board.write(_OVER)
            while not self._board.has(_OVER) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)

    def _end(self, work: Any, *, on_gpu: bool = False) -> None:
        """Wait for an operation; not for ever, if who should answer has ended.

        Gloo overlooks that now and then, if it happens between two operations, and would wait for its timeout.

        Raises:
            RuntimeError: if it failed, another process is gone, or the time is over.
        """
        if on_gpu:  # a time limit would make this process wait for the device, and NCCL has its own watch
            work.wait()
            return
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                work.wait(_LOOK)
                return
            except RuntimeError:
                if work.is_completed() or self._obituary() is not None or time.monotonic() > deadline:
                    raise

    def _let_go(self) -> None:
        if not self._connected:
            return
        self._connected = False
        if self._under_way:  # another process is lost, or a person does not want to wait for it
            # Once nothing refers to a group, it waits for what it has under way, which may never end.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.distributed_c10d._get_default_group()))
        with suppress(RuntimeError):
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # what hangs in NCCL must not be waited for
                dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Charge the ledger, and say in words what went wrong.

        Raises:
            LostProcessError: if another process is gone, or does not answer.
        """
        with self.charged():
            self._under_way = True
            try:
                yield
                self._under_way = False
            except LostProcessError:
                raise
            except RuntimeError as error:  # torch's own classes of it differ by backend and version
                self._lost = True
                lost = self._account_of(error)
                self._let_go()
                raise lost from error

    def _account_of(self, error: RuntimeError) -> LostProcessError:
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        dead = self._obituary()
        while time.monotonic() < deadline:
            with suppress(RuntimeError):
                if note := self._board.read(_FAILED):
                    rank, cause, reason = orjson.loads(note)
                    return LostProcessError(f"Process {rank} of {self.size}: {reason}", EndCause(cause))
            if dead := dead or self._obituary():
                break
            time.sleep(_POLL_SECONDS)
        if dead is None and "timed out" in str(error).lower():
            dead = (
                f"another process did not answer within {self._timeout_seconds:g} s (runtime.timeout_seconds)"
            )
        return LostProcessError(
            f"All {self.size} processes of a run must stay alive, but {dead or 'another process is gone'}. "
            "Resume the run."
        )

    @contextmanager
    def _pulse(self, name: str) -> Iterator[None]:
        over, worker = threading.Event(), threading.get_ident()

        def beat() -> None:
            count = 0
            while not over.wait(_BEAT_SECONDS if count else 0):
                with suppress(RuntimeError):
                    self._board.write(name, str(count := count + 1).encode())
                if self._obituary() is not None and not over.is_set():
                    # The one way to end another thread's work: it raises there, between two of its instructions.
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(worker), ctypes.py_object(_LostMeanwhileError)
                    )
                    return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _wait_for(self, name: str, pulse: str) -> bytes:
        """Return a note once it is there; wait for it as long as the pulse goes on."""
        beat, since = self._board.read(pulse), time.monotonic()
        while (note := self._board.read(name)) is None:
            if self._board.has(_FAILED):
                raise RuntimeError("another process failed")
            if (now := self._board.read(pulse)) != beat:
                beat, since = now, time.monotonic()
            if time.monotonic() - since > self._timeout_seconds:
                raise RuntimeError("timed out")
            time.sleep(_POLL_SECONDS)
        return note


class _LostMeanwhileError(RuntimeError):
    """Another process is gone while rank 0 works alone."""


def _packed(data: bytes, length: int) -> Tensor:
    """Return uint8 [length] that begins with `data`."""
    message = torch.zeros(length, dtype=torch.uint8)
    if data:
        message[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return message


def _unpacked(message: Tensor) -> Any:
    return _loaded(message.numpy().tobytes())


def _loaded(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - of a process of the same run
