"""Where a recipe's target comes from: kept here, taken over, the recipe's own, or calibrated on seeds of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autolrs_cli.contracts import Direction
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce.arms import calibration_seeds
from autolrs_cli.experiments.reproduce.jobs import ORIGINAL, RecipeJobs
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.taken_over import TakenOver
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.reports.compare.arms import group
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.target import choose_goal, final_values

RunThem = Callable[[Sequence[Job], str], Mapping[str, RunRecord]]
"""Brings jobs to their end, in a subfolder; returns `Job.root` -> the run, of those that have a result."""


class Calibration:
    """The target of one recipe.

    Args:
        request: what was asked for.
        jobs: composes its runs.
        folder: of the recipe.
        taken: what is taken over from elsewhere.
    """

    def __init__(
        self, request: ReproductionRequest, jobs: RecipeJobs, folder: Path, taken: TakenOver
    ) -> None:
        self._request = request
        self._jobs = jobs
        self._folder = folder
        self._taken = taken

    @property
    def file(self) -> Path:
        """Where the target is kept."""
        return self._folder / "target.yaml"

    @property
    def command(self) -> str:
        """The command that calibrates it."""
        return self._request.command([self._jobs.recipe])

    def known(self) -> CalibratedTarget | None:
        """Return what was calibrated here, or the recipe's own; what the person gives now goes before both."""
        kept = None if self._request.gives_target else CalibratedTarget.read(self.file)
        if kept is not None and self._is_of_these_data(kept):
            return kept
        return self._shipped() or self._elsewhere()

    def anew(self, run: RunThem, max_steps: int) -> CalibratedTarget:
        """Run the original schedule on the calibration seeds, and return the target that this gives.

        Raises:
            ConfigError: if too few of the runs came to their end.
        """
        seeds, folder = calibration_seeds(len(self._request.seeds)), self._folder / "calibration"
        jobs = self._jobs.of([*ORIGINAL, "target=null"], seeds, [max_steps], folder)[max_steps]
        runs = [found for found in run(jobs, "calibration").values() if found.done]
        if not runs:
            raise ConfigError(
                f"A target needs calibration runs that came to their end, but none of {len(jobs)} did. Look into "
                f"{folder}."
            )
        metric, direction = self._metric(runs)
        finals = {found.seed: final_values([found], metric, direction) for found in runs}
        last = {seed: values[0] for seed, values in finals.items() if values}
        fingerprint = str(runs[0].started["data_fingerprint"])
        return CalibratedTarget.of(metric, direction, last, self.command, fingerprint)

    def _metric(self, runs: Sequence[RunRecord]) -> tuple[str, Direction]:
        """Return what the target is of: what the recipe's own target is of, else the recipe's metric."""
        plan = self._jobs.point(*ORIGINAL).plan
        if plan.target is not None:
            return plan.target.metric, plan.target.direction
        arms = group(runs)
        goal = choose_goal(arms, arms[0], None)
        return goal.metric, goal.direction

    def _is_of_these_data(self, target: CalibratedTarget) -> bool:
        """Tell whether a target was calibrated on the data as they are now.

        Raises:
            ConfigError: if not, and nobody asked to do again what is stale.
        """
        now = self._jobs.fingerprint()
        if target.data_fingerprint in (None, now) or self._request.rerun_stale:
            return target.data_fingerprint in (None, now)
        raise ConfigError(
            f"A reproduction must go on with the data that it began with, but those of {self._folder} had the "
            f"fingerprint {target.data_fingerprint} and have {now} now. The same command with --rerun-stale does all "
            "again that was done with the old ones, and keeps that beside; or restore the data, or set --dir."
        )

    def _shipped(self) -> CalibratedTarget | None:
        """Return the target in the recipe's configuration, if it is for what is run here."""
        if self._request.calibrate or not self._request.keeps_targets:
            return None
        settings = self._jobs.point(*ORIGINAL).plan.settings.target
        if settings is None:
            return None
        return CalibratedTarget.shipped(settings, self._jobs.fingerprint())

    def _elsewhere(self) -> CalibratedTarget | None:
        """Return the target that was calibrated elsewhere by the same command, on the same data."""
        found = None if self._request.gives_target else self._taken.target
        same = found is not None and found.command == self.command
        return found if found and same and found.data_fingerprint == self._jobs.fingerprint() else None
