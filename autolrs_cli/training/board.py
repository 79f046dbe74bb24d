"""A notice board that the processes of one command share: torch's key-value store, where they meet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist

_CONNECT_SECONDS = 300


class BoardGoneError(RuntimeError):
    """The process that held the board has ended."""


class Board:
    """Named notes, read by all.

    Every method raises BoardGoneError once the process that holds the board is gone.

    Args:
        store: torch's.
    """

    def __init__(self, store: Any) -> None:
        self.store = store

    @classmethod
    def at(cls, address: str, port: int, *, holds: bool) -> Board:
        """Hold the board at an address, or connect with who does.

        Args:
            address: of the holder.
            port: 0: a free one.
            holds: whether this process is the holder.

        Raises:
            RuntimeError: if nobody is there, or somebody else is.
        """
        limit = timedelta(seconds=_CONNECT_SECONDS)
        kind: Any = dist.TCPStore  # type: ignore[attr-defined]
        return cls(kind(address, port, is_master=holds, timeout=limit, wait_for_workers=False))

    @classmethod
    def here(cls) -> Board:
        """Hold a board that this machine alone can reach, at a free port.

        Torch itself would listen at all addresses, and what is written on a board can make its readers run code.
        """
        own = socket.create_server(("127.0.0.1", 0))
        port = own.getsockname()[1]
        kind: Any = dist.TCPStore  # type: ignore[attr-defined]
        limit = timedelta(seconds=_CONNECT_SECONDS)
        # The newer of torch's two stores (libuv) takes no socket in all versions that we do.
        how = {"master_listen_fd": own.detach(), "use_libuv": False}
        return cls(kind("127.0.0.1", port, is_master=True, timeout=limit, wait_for_workers=False, **how))

    @property
    def port(self) -> int:
        """Where it is held."""
        return int(self.store.port)

    def part(self, name: str) -> Board:
        """Return a board of its own on this one."""
        kind: Any = dist.PrefixStore  # type: ignore[attr-defined]
        return Board(kind(name, self.store))

    def write(self, name: str, note: bytes = b"") -> None:
        """Write a note, over one of the same name."""
        with _gone():
            self.store.set(name, note)

    def has(self, name: str) -> bool:
        """Tell whether there is a note of that name."""
        with _gone():
            return bool(self.store.check([name]))

    def read(self, name: str) -> bytes | None:
        """Return a note; None: there is none of that name."""
        with _gone():
            return bytes(self.store.get(name)) if self.store.check([name]) else None


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise BoardGoneError(str(error)) from error
