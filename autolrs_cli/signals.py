"""Taking signals for a while, and giving them back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handling(
    handler: Callable[[int, FrameType | None], Any], numbers: tuple[signal.Signals, ...] = STOPPING
) -> Iterator[None]:
    """Let `handler` take these signals; afterwards they go where they went before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
