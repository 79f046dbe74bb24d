"""One recipe of a reproduction, from the calibration of its target to its comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.reproduce.arm_runs import ArmRuns
from autolrs_cli.experiments.reproduce.calibration import Calibration
from autolrs_cli.experiments.reproduce.cost import cost, cost_table, time_needed
from autolrs_cli.experiments.reproduce.findings import archive_records, claim_check, compared, notes
from autolrs_cli.experiments.reproduce.grid_runs import GridRuns, kept_limit
from autolrs_cli.experiments.reproduce.jobs import SEARCHED, RecipeJobs
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.runs import RecipeRuns
from autolrs_cli.experiments.reproduce.studies import Studies
from autolrs_cli.experiments.reproduce.taken_over import CALIBRATION, GRID, TakenOver
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.experiments.sweep.stale import CurrentData
from autolrs_cli.records.archive import NAME, write_archive
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.compare.archived_run import archived
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.render.write_report import write_report
from autolrs_cli.terminal.console import say


class RecipeReproduction:
    """One recipe, from calibration to comparison; what is done already is recognised and skipped.

    Raises:
        ConfigError: if the recipe does not compose, or its settings or data are wrong.
    """

    def __init__(self, request: ReproductionRequest, recipe: str, console: Console, errors: Console) -> None:
        self._request = request
        self._folder = request.of(recipe)
        self._console = console
        data = CurrentData(console)
        self._taken = TakenOver.below(request.source, recipe)
        self._jobs = RecipeJobs(request, recipe, data, errors)
        self._base = self._jobs.base()
        self._runs = RecipeRuns(request, self._jobs.launcher(), self._folder, data, self._taken, console)
        self._calibration = Calibration(request, self._jobs, self._folder, self._taken)
        self._studies = Studies(request, self._base, self._taken, console)

    def carry_out(self) -> tuple[ClaimCheck, bool]:
        """Return what was found, and whether every run came to its end."""
        target = self.calibrate()
        self._heading("tuning")
        tuned_as = self._studies.carry_out(self._jobs.fingerprint())
        self._heading("arms")
        runs = self._folder / "runs"
        arms = ArmRuns(self._request, self._base, self._jobs, self._runs, target, tuned_as, runs)
        found = arms.carry_out()
        for line in self._taken.said:
            say(self._console, line)
        limit = kept_limit(self._folder) or self._taken.limit
        comparison = compared(found, runs, self._archive, limit, arms.lost)
        records = archive_records(
            comparison, target, self._studies.records(), [*self._others(), *notes(arms.lost)]
        )
        write_archive(self._archive, records)
        write_report(comparison, self._archive.parent, made_of=self._archive.read_bytes())
        return claim_check(self._base.recipe, comparison), self._runs.whole

    @property
    def recipe(self) -> str:
        """Its name."""
        return self._base.recipe

    @property
    def whole(self) -> bool:
        """Whether every run so far came to its end."""
        return self._runs.whole

    @property
    def begun(self) -> bool:
        """Whether some of it was run before."""
        return (self._folder / "tuning").exists()

    def say_cost(self, *, timed: bool) -> float:
        """Print what it costs; return the seconds that it takes if a few steps are `timed`, else 0."""
        known = self._calibration.known()
        seeds = len(self._request.seeds)
        entries = cost(self._base, seeds, calibrated=known is not None, preset=self._request.preset)
        self._console.print(cost_table(self._base, entries, seeds))
        if not timed:
            return 0.0
        plan = self._jobs.point(*SEARCHED).plan
        seconds, words = time_needed(plan, self._base.recipe, entries, self._request.jobs)
        say(self._console, words)
        return seconds

    def calibrate(self) -> CalibratedTarget:
        """Return the target: the one calibrated here earlier, the recipe's own, or a new one."""
        self._heading("calibration")
        known = self._calibration.known() or self._calibration.anew(
            self._runs.carry_out, self._base.max_steps
        )
        known.write(self._calibration.file)
        say(self._console, f"target: {known}")
        return known

    def require_target(self) -> CalibratedTarget:
        """Return the target that was fixed before.

        Raises:
            ConfigError: if there is none.
        """
        known = self._calibration.known()
        if known is None:
            name, scale = self._base.recipe, self._base.scale
            raise ConfigError(
                f"A practical limit is measured against a target that is fixed beforehand, but {name} has none at "
                f"scale={scale} for these data and overrides. Calibrate one first: the same command with --calibrate "
                "in place of --hindsight; or set target in the recipe's YAML."
            )
        return known

    def measure_limit(self) -> PracticalLimit:
        """Return the fewest steps to the target that a schedule of the grid needs.

        Raises:
            ConfigError: if there is no target, or nothing reaches it.
        """
        target = self.require_target()
        self._heading("hindsight")
        full, run = self._base.max_steps, self._runs.carry_out_diverging
        limit = GridRuns(self._jobs, target, full, self._folder, run).carry_out()
        say(self._console, f"{self._base.recipe}: {limit}")
        return limit

    @property
    def _archive(self) -> Path:
        return self._folder / "report" / NAME

    def _others(self) -> Sequence[Mapping[str, Any]]:
        """Return the runs that belong to no arm, made here or elsewhere, as an archive keeps them."""
        kinds = {"calibration": CALIBRATION, "hindsight": GRID}
        here = [
            {**archived(run, ""), "kind": kind}
            for folder, kind in kinds.items()
            for run in self._runs.in_folder(self._folder / folder)
        ]
        made = {record["journal"]["sha256"] for record in here}
        return [*here, *(r for r in self._taken.outside_arms if r["journal"]["sha256"] not in made)]

    def _heading(self, text: str) -> None:
        self._console.rule(f"{self._base.recipe}: {text}", align="left")
