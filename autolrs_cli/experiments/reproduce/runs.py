"""Bringing the runs of one recipe to their end, those left out that were made elsewhere and count as done."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.contract import Launcher
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.taken_over import Identity, TakenOver
from autolrs_cli.experiments.run_status import RunState, state_of
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.experiments.sweep.results import print_ending
from autolrs_cli.experiments.sweep.stale import CurrentData, said_of_stale
from autolrs_cli.experiments.sweep.sweep import run_jobs
from autolrs_cli.records.find_runs import runs_below
from autolrs_cli.reports.compare.run_record import RunRecord, read_run


class RecipeRuns:
    """Runs jobs, and reads what came of them.

    Args:
        request: what was asked for.
        launcher: where runs are made.
        folder: of the recipe.
        data: those that the runs are trained on, as they are now.
        taken: what is taken over from elsewhere.
        console: where it is shown how they go.
    """

    def __init__(
        self,
        request: ReproductionRequest,
        launcher: Launcher,
        folder: Path,
        data: CurrentData,
        taken: TakenOver,
        console: Console,
    ) -> None:
        self._request = request
        self._launcher = launcher
        self._folder = folder
        self._data = data
        self._taken = taken
        self._console = console
        self._read: dict[str, RunRecord] = {}
        self.whole = True
        """Whether every run so far came to its end."""

    def carry_out(self, jobs: Sequence[Job], folder: str) -> Mapping[str, RunRecord]:
        """Bring jobs to their end; return `Job.root` -> the run, of those that have a result.

        Args:
            jobs: what is to be done.
            folder: of the recipe's, in which their run directories lie.

        Raises:
            ConfigError: if runs are of other data than there are now, or nothing could be started.
            ExperimentStopped: if it was asked to stop.
        """
        return self._carry_out(jobs, folder, {}, "done")

    def carry_out_replays(
        self, jobs: Mapping[str, Identity], replays: Sequence[Job]
    ) -> Mapping[str, RunRecord]:
        """Do the same with replays; `jobs` has what each of them repeats, by `Job.root`."""
        return self._carry_out(replays, "runs", jobs, "done")

    def carry_out_diverging(self, jobs: Sequence[Job], folder: str) -> Mapping[str, RunRecord]:
        """Do the same with runs that may diverge, which is what is to be learned of them."""
        return self._carry_out(jobs, folder, {}, "result")

    def in_folder(self, folder: Path) -> list[RunRecord]:
        """Return the runs in a folder of the recipe that have a result."""
        return [self._run(str(root)) for root in runs_below(folder) if state_of(root).has_result]

    def _carry_out(
        self, jobs: Sequence[Job], folder: str, replays: Mapping[str, Identity], needed: str
    ) -> Mapping[str, RunRecord]:
        here = [job for job in jobs if not self._take_over(job, replays.get(job.root))]
        states = self._data.states(here)
        self._require_none_stale(here, states)
        if any(state.state != "done" for state in states):
            states = self._launch(here, folder, needed)
        for job, state in zip(here, states, strict=True):
            if state.has_result:
                self._run(job.root)
        return {job.root: self._read[job.root] for job in jobs if job.root in self._read}

    def _launch(self, jobs: Sequence[Job], folder: str, needed: str) -> list[RunState]:
        directory = self._folder / folder
        ending = run_jobs(
            jobs, self._launcher, directory, False, self._request.again, self._data, self._console
        )
        if ending.signal is not None:  # what SLURM has goes on, and is found again by the next command
            raise ExperimentStopped(ExitCode.of_signal(signal.Signals[ending.signal]))
        found = {job.root: state for job, state in ending.runs}
        states = [found[job.root] for job in jobs]
        if not all(state.state == "done" or (needed == "result" and state.has_result) for state in states):
            print_ending(ending, directory, self._console, compare=False)
            self.whole = False
        return states

    def _take_over(self, job: Job, identity: Identity | None) -> bool:
        """Tell whether a run is not made here, since it was made elsewhere; one that lies here is not asked for."""
        if job.root in self._read and self._read[job.root].origin:
            return True
        if self._taken.archive is None or state_of(Path(job.root)).state == "done":
            return False
        found = self._taken.run(identity or Path(job.root).name, self._data.fingerprint(job.data))
        if found is not None:
            self._read[job.root] = found
        return found is not None

    def _run(self, root: str) -> RunRecord:
        if root not in self._read:
            self._read[root] = read_run(Path(root))
        return self._read[root]

    def _require_none_stale(self, jobs: Sequence[Job], states: Sequence[RunState]) -> None:
        if self._request.rerun_stale:
            return
        stale = said_of_stale(zip(jobs, states, strict=True))
        if stale is not None:
            raise ConfigError(f"The runs of a reproduction must be of the data as they are now, but {stale}")
