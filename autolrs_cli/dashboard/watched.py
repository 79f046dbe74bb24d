"""A run seen from outside: its journal, and whether a process still works on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autolrs_cli.dashboard import memory
from autolrs_cli.dashboard.run_state import State, evolve
from autolrs_cli.dashboard.state import reduce
from autolrs_cli.dashboard.tail import JournalTail
from autolrs_cli.records.find_runs import runs_below
from autolrs_cli.records.run_directory import RunDirectory


class WatchedRun:
    """The state of a run, brought up to date by `refresh`.

    Args:
        root: its directory.
    """

    def __init__(self, root: Path) -> None:
        self.directory = RunDirectory(root)
        self._tail = JournalTail(self.directory.journal)
        self._begun = evolve(State(), directory=str(root))
        self.state = self._begun
        self.worked_on = False

    def refresh(self) -> list[dict[str, Any]]:
        """Take in what the journal has gained; return it."""
        # Asked before reading: a run that ends in between has written its end when it gives the lock up.
        self.worked_on = self.directory.is_worked_on()
        anew, records = self._tail.poll()
        state = self._begun if anew else self.state
        for record in records:
            state = self._taken_in(state, record)
        abandoned = bool(state.description) and state.ended is None and not self.worked_on
        machine = memory.sample(self.directory.holder_process()) if self.worked_on else None
        self.state = evolve(state, abandoned=abandoned, machine=machine)
        return records

    @property
    def status(self) -> str:
        """Return one word: done, failed, stopped (it can be resumed), killed, running, starting, empty."""
        if self.state.ended is not None:
            return "stopped" if self.state.ended == "interrupted" else self.state.ended
        if self.worked_on:
            return "running" if self.state.description else "starting"
        return "killed" if self.state.abandoned else "empty"

    def _taken_in(self, state: State, record: dict[str, Any]) -> State:
        try:
            return reduce(state, record)
        except (KeyError, TypeError, ValueError):  # of another version
            self._tail.unreadable += 1
            return state


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Return the run directories that the places are or hold, each once, in order."""
    return list(dict.fromkeys(run for place in places for run in runs_below(place)))
