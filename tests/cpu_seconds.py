"""What each file of tests takes of the processor, its processes included: pytest --cpu-seconds, without xdist."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest


def spent() -> float:
    """Return the CPU seconds of this process, its children, and theirs that have ended."""
    times = os.times()
    seconds = times.user + times.system + times.children_user + times.children_system
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            seconds += sum(child.cpu_times()[:4])
    return seconds


class CpuSeconds:
    """Adds up, and prints a table at the end: wall time says little on a machine that does other things too."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure one test, with the fixtures that are made for it."""
        before = spent()
        try:
            return (yield)
        finally:
            self._spent[Path(item.location[0]).as_posix()] += spent() - before

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the files, the most expensive first."""
        terminalreporter.section("CPU seconds")
        for file, seconds in self._spent.most_common():
            terminalreporter.write_line(f"{seconds:8.1f}  {file}")
        terminalreporter.write_line(
            f"{sum(self._spent.values()):8.1f}  all, {spent():.1f} with what pytest needs"
        )
