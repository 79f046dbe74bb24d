"""Carrying out the grid of schedules that tells the practical limit of one recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce.calibration import RunThem
from autolrs_cli.experiments.reproduce.hindsight import (
    SEED,
    TIMES,
    Candidate,
    described,
    fewest,
    grid,
    next_runs,
)
from autolrs_cli.experiments.reproduce.jobs import RecipeJobs
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.records.run_directory import write_json
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.outcomes import Racer
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.time_to_target import metric_curve
from autolrs_cli.schedules.lengths import recorded_run_length

FILE = "hindsight.json"


class GridRuns:
    """Measures the fewest steps to the target that a schedule of the grid needs.

    Args:
        jobs: composes the runs.
        target: fixed beforehand.
        full: the budget: length of a full run, in steps.
        folder: of the recipe.
        run: brings jobs to their end.
        times: peaks, over the original's.
    """

    def __init__(
        self,
        jobs: RecipeJobs,
        target: CalibratedTarget,
        full: int,
        folder: Path,
        run: RunThem,
        times: Sequence[float] = TIMES,
    ) -> None:
        self._jobs = jobs
        self._target = target
        self._full = full
        self._folder = folder
        self._run = run
        self._seen: dict[Candidate, dict[int, float | None]] = {each: {} for each in grid(times)}
        self._runs: list[RunRecord] = []

    def carry_out(self) -> PracticalLimit:
        """Return the practical limit, once all runs that it takes are made.

        Raises:
            ConfigError: if the original has no peak to take multiples of, or nothing reaches the target.
        """
        peak = self._peak()
        while wanted := next_runs(self._seen, self._full):
            jobs = {each: self._job(*each, peak) for each in wanted}
            found = self._run(list(jobs.values()), "hindsight")
            for (candidate, length), job in jobs.items():
                run = found.get(job.root)
                # One that failed, and not by diverging, has no result; it is said so, and tells nothing of the target.
                self._seen[candidate][length] = steps_to_target(run, self._target) if run else None
            self._runs += found.values()
        best = fewest(self._seen)
        if best is None:
            raise ConfigError(
                f"A practical limit needs a run that reaches the target, but none of {len(self._runs)} reached "
                f"{self._target.metric} {self._target.value:g}. Look into {self._folder / 'hindsight'}, or calibrate "
                "the target again (--calibrate)."
            )
        limit = self._limit(*best, peak)
        write_json(self._folder / FILE, limit.to_json())
        return limit

    def _limit(self, candidate: Candidate, length: int, steps: float, peak: float) -> PracticalLimit:
        return PracticalLimit(
            self._target.metric,
            self._target.value,
            self._jobs.fingerprint(),
            candidate.name,
            peak * candidate.times,
            candidate.times,
            steps,
            length,
            SEED,
            len(self._runs),
            sum(int((run.ended or {}).get("total_steps", run.max_steps)) for run in self._runs),
            described(self._seen),
        )

    def _peak(self) -> float:
        config = self._jobs.point("schedule=linear").composed.config
        peak = config["schedule"].get("peak_lr")
        if not isinstance(peak, int | float) or not peak > 0:
            raise ConfigError(
                f"A grid of peaks needs the original's peak, but {self._jobs.recipe} has peak_lr={peak} under "
                "schedule=linear. Set original_schedule.peak_lr in the recipe's YAML."
            )
        return float(peak)

    def _job(self, candidate: Candidate, length: int, peak: float) -> Job:
        own = [f"schedule={candidate.schedule}", f"schedule.peak_lr={peak * candidate.times!r}"]
        own += [] if candidate.average == "none" else [f"average={candidate.average}"]
        own.append(self._target.override)
        (job,) = self._jobs.of(own, [SEED], [length], self._folder / "hindsight")[length]
        return replace(job, label=f"{candidate.name} at {candidate.times:g}x, {length} steps")


def steps_to_target(run: RunRecord, target: CalibratedTarget) -> float | None:
    """Return the steps that a run needed to the target: all of it, if its schedule decays; None: it missed."""
    curve = metric_curve(run, target.metric, run.description["target"]["direction"])
    outcome = Racer(recorded_run_length(run.started).decays, ((run, curve),)).race(target.value)
    return outcome.step if outcome.reached else None


def kept_limit(folder: Path) -> PracticalLimit | None:
    """Return the practical limit that was measured here; None: none was.

    Raises:
        ConfigError: if it is damaged.
    """
    try:
        return PracticalLimit.from_json(orjson.loads((folder / FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / FILE} must be readable, but is not: {error}. Remove it.") from error
