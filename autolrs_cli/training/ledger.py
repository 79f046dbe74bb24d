"""What a run costs: optimizer steps and seconds, each second in exactly one bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

Bucket = Literal[
    "startup",
    "warm_up",
    "training",
    "search_kept",
    "search_discarded",
    "search_model",
    "evaluation",
    "snapshot",
    "checkpoint",
    "communication",
    "repeated",
]
STEP_BUCKETS: tuple[Bucket, ...] = ("warm_up", "training", "search_kept", "search_discarded", "repeated")


class Ledger:
    """Exclusive accounting: a span inside a span pauses the outer one.

    Args:
        started: `time.perf_counter()` at the run's first start, pauses left out.
        resumed: the same for the process that goes on with the run; None: it is the first.
    """

    def __init__(self, started: float, resumed: float | None = None) -> None:
        self.synchronize: Callable[[], None] = lambda: None
        """Waits for the device, so that a span pays for the kernels it started."""
        self._started = started
        self._seconds: dict[Bucket, float] = dict.fromkeys(get_args(Bucket), 0.0)
        self._steps: dict[Bucket, int] = dict.fromkeys(STEP_BUCKETS, 0)
        self._open: list[Bucket] = []
        self._since = started if resumed is None else resumed

    @contextmanager
    def span(self, bucket: Bucket) -> Iterator[None]:
        """Charge the seconds of a block to `bucket`."""
        self._settle()
        self._open.append(bucket)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def charge_until_now(self, bucket: Bucket) -> None:
        """Charge everything since the last accounting to `bucket`: what happened before any span could open."""
        self._open.append(bucket)
        self._settle()
        self._open.pop()

    def count(self, bucket: Bucket, steps: int = 1) -> None:
        """Charge optimizer steps to `bucket`."""
        self._steps[bucket] += steps

    def add(self, bucket: Bucket, steps: int, seconds: float) -> None:
        """Charge what an earlier process did and left out of its last checkpoint."""
        self._steps[bucket] += steps
        self._seconds[bucket] += seconds

    def move(self, source: Bucket, target: Bucket, since: Mapping[str, Any]) -> None:
        """Charge to `target` what was charged to `source` after `since`, an earlier `state_dict`."""
        self._settle()
        for account, before in ((self._seconds, since["seconds"]), (self._steps, since["steps"])):
            moved = account[source] - before[source]
            account[source] -= moved
            account[target] += moved

    def move_part(
        self, source: Bucket, target: Bucket, steps: int, since: Mapping[str, Any] | None = None
    ) -> None:
        """Charge `steps` of those that were charged to `source` to `target`, and their share of the seconds.

        Args:
            source: the bucket that loses them.
            target: the one that gets them.
            steps: how many; each is taken to have cost the same.
            since: an earlier `state_dict`; what was charged before it stays. None: nothing does.
        """
        self._settle()
        seconds, made = self._seconds[source], self._steps[source]
        if since is not None:
            seconds, made = seconds - since["seconds"][source], made - since["steps"][source]
        moved = seconds * steps / made
        self._steps[source] -= steps
        self._steps[target] += steps
        self._seconds[source] -= moved
        self._seconds[target] += moved

    def state_dict(self) -> dict[str, Any]:
        """Return what was charged so far, as JSON."""
        self._settle()
        return {
            "seconds": dict(self._seconds),
            "steps": dict(self._steps),
            "elapsed": self._since - self._started,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; what this process has charged so far is added to it."""
        for bucket in self._seconds:
            self._seconds[bucket] += state["seconds"].get(bucket, 0.0)
        for bucket in self._steps:
            self._steps[bucket] += state["steps"].get(bucket, 0)

    def totals(self) -> dict[str, dict[str, float]]:
        """Return bucket -> {steps, seconds}; `other` is the time that no span covers."""
        self._settle()
        elapsed = self._since - self._started
        table: dict[str, dict[str, float]] = {
            bucket: {"steps": self._steps.get(bucket, 0), "seconds": round(seconds, 4)}
            for bucket, seconds in self._seconds.items()
        }
        other = elapsed - sum(self._seconds.values())
        return {**table, "other": {"steps": 0, "seconds": round(max(other, 0.0), 4)}}

    def _settle(self) -> None:
        self.synchronize()
        now = time.perf_counter()
        if self._open:
            self._seconds[self._open[-1]] += now - self._since
        self._since = now
