"""Runs whose data have changed since: their results are of data that the same configuration no longer gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rich.console import Console

from autolrs_cli.compose.grid import GridPoint
from autolrs_cli.contracts import Recipe
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.run_status import RunState, state_of
from autolrs_cli.experiments.sweep.jobs import data_id
from autolrs_cli.records.journal import read_journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.wording import counted

NAMED = 3


class CurrentData:
    """The data that configurations name, as they are now: each is looked at once, and only if a run there asks.

    Args:
        console: where the preparation of data shows itself.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._recipes: dict[str, Recipe] = {}
        self._fingerprints: dict[str, str] = {}

    def add(self, points: Iterable[GridPoint]) -> None:
        """Know the data of these configurations."""
        for point in points:
            self._recipes.setdefault(data_id(point.composed.config), point.plan.recipe)

    def knows(self, data: str) -> bool:
        """Return whether these data, by their `data_id`, were made known."""
        return data in self._recipes

    def states(self, jobs: Sequence[Job]) -> list[RunState]:
        """Return what has become of each run, known to be of other data or not.

        Raises:
            ConfigError: if data that a run there was trained on cannot be used any more.
        """
        return [self._state(job) for job in jobs]

    def _state(self, job: Job) -> RunState:
        state = state_of(Path(job.root))
        if state.state not in ("done", "failed", "interrupted"):
            return state
        recorded = recorded_fingerprint(RunDirectory(Path(job.root)), state)
        if recorded is None or recorded == (now := self.fingerprint(job.data)):
            return state
        reason = f"its data had the fingerprint {recorded} and have {now} now"
        return replace(state, state="stale", reason=reason, cause=None)

    def fingerprint(self, data: str) -> str:
        """Return the fingerprint of data, by their `data_id`.

        Raises:
            ConfigError: if they cannot be used.
        """
        if data not in self._fingerprints:
            recipe = self._recipes[data]
            with PreparationProgress(self._console) as progress:
                prepare_data(recipe, progress)
            self._fingerprints[data] = recipe.fingerprint()
        return self._fingerprints[data]


def recorded_fingerprint(directory: RunDirectory, state: RunState) -> str | None:
    """Return the fingerprint of the data that a run was begun with; None: it recorded none that can be read."""
    if state.summary is not None and "data_fingerprint" in state.summary:
        return str(state.summary["data_fingerprint"])
    with suppress(OSError, ValueError, KeyError, TypeError):
        (started,) = islice(read_journal(directory.journal), 1)
        return str(started["data_fingerprint"])
    return None


def said_of_stale(runs: Iterable[tuple[Job, RunState]]) -> str | None:
    """Return what is to be said of stale runs, naming them; None: there are none."""
    stale = [(job, state) for job, state in runs if state.state == "stale"]
    if not stale:
        return None
    lines = [f"{counted(len(stale), 'run is', 'runs are')} stale: their data have changed since."]
    lines += [f"  {job.label or 'run'}: {job.root}: {state.reason}" for job, state in stale[:NAMED]]
    lines += [f"  and {len(stale) - NAMED} more"] if len(stale) > NAMED else []
    lines.append(
        "The same command with --rerun-stale runs them again, the old ones kept beside as <id>.stale-1; or restore the "
        "data."
    )
    return "\n".join(lines)
