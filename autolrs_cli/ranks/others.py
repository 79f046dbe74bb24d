"""The other processes of a run that `runtime.processes=N` starts on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autolrs_cli.experiments.own_process import environment, python_module, when_standard_input_ends
from autolrs_cli.experiments.process_log import last_words

LIFELINE = "AUTOLRS_LIFELINE"
"""Set for a process whose standard input ends when the process that started it does."""
_INTERFACE = "GLOO_SOCKET_IFNAME"
_PARTING_SECONDS = 5.0
_SOON_SECONDS = 0.5


class Others:
    """Processes 1, 2, ... of a run whose process 0 is this one; they end with it, however it ends.

    Args:
        size: processes in all.
        port: where they meet, on this machine.
        folder: takes what they print.
    """

    def __init__(self, size: int, port: int, folder: Path) -> None:
        self._size = size
        self._logs = {rank: folder / f"process-{rank}.log" for rank in range(1, size)}
        self._processes = {rank: self._start(rank, port) for rank in self._logs}

    def obituary(self) -> str | None:
        """Return how one of them ended, if one has; after a moment, if none has yet."""
        for rank, process in self._processes.items():
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_SOON_SECONDS / len(self._processes))
                return f"process {rank} of {self._size} {self._explained(rank, code)}"
        return None

    def has_lost_one(self) -> bool:
        """Tell whether one of them has ended."""
        return any(process.poll() is not None for process in self._processes.values())

    def end(self) -> None:
        """Wait a little for them to end by themselves, and end them."""
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PARTING_SECONDS / len(self._processes))
        for process in self._processes.values():
            process.kill()  # one that is stopped would not see its standard input end
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _start(self, rank: int, port: int) -> subprocess.Popen[bytes]:
        place = {"RANK": rank, "WORLD_SIZE": self._size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": self._size}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, LIFELINE: 1}
        # This process may itself be the one process of a torchrun, which says more than that.
        own = {name: value for name, value in environment().items() if not name.startswith("TORCHELASTIC_")}
        with self._logs[rank].open("wb") as log:
            return subprocess.Popen(
                python_module("autolrs_cli", "train"),
                env={**own, **{name: str(value) for name, value in (place | meeting).items()}},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches rank 0, which tells them
            )

    def _explained(self, rank: int, code: int) -> str:
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}. {last_words(self._logs[rank])}".rstrip(" .")


@contextmanager
def started(size: int, port: int) -> Iterator[Others]:
    """Start the other processes; they are gone when the block is left."""
    with tempfile.TemporaryDirectory(prefix="autolrs-") as folder:
        others = Others(size, port, Path(folder))
        try:
            yield others
        finally:
            others.end()


@contextmanager
def talking_here() -> Iterator[None]:
    """Let gloo, here and in processes started meanwhile, talk over this machine's loopback alone.

    Else it takes the address that the host's name stands for: open to the network, and often wrong on a laptop.
    """
    loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
    if loopback is None or _INTERFACE in os.environ:
        yield
        return
    os.environ[_INTERFACE] = loopback
    try:
        yield
    finally:
        del os.environ[_INTERFACE]


def hold_on_to_lifeline() -> None:
    """End this process when the one that started it does, if that is who holds its standard input."""
    if os.environ.pop(LIFELINE, None) is None:
        return
    when_standard_input_ends(lambda: os._exit(1))
