"""The runs of every arm of one recipe: full length first, then the lengths that it still takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce.arms import (
    ARMS,
    AUTOLRS,
    REPLAY,
    REPLAY_ARM,
    Arm,
    Base,
    replay_sources,
    seeds_of,
)
from autolrs_cli.experiments.reproduce.grid_runs import steps_to_target
from autolrs_cli.experiments.reproduce.jobs import RecipeJobs
from autolrs_cli.experiments.reproduce.lengths import FULL, SHARES, mostly, next_share
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.runs import RecipeRuns
from autolrs_cli.experiments.reproduce.taken_over import Identity, Replayed, lay_out
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.wording import quoted

ByArm = Mapping[str, list[RunRecord]]
"""Title of an arm -> its runs that have a result."""


class ArmRuns:
    """Decides which runs the arms of a recipe take, and makes them.

    Args:
        request: what was asked for.
        base: what the arms have in common.
        jobs: composes runs.
        runs: makes them.
        target: fixed beforehand.
        tuned_as: title of a tuned arm -> what to write after `schedule=` for what its study found.
        folder: below it lie the run directories.
    """

    def __init__(
        self,
        request: ReproductionRequest,
        base: Base,
        jobs: RecipeJobs,
        runs: RecipeRuns,
        target: CalibratedTarget,
        tuned_as: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._request = request
        self._base = base
        self._jobs = jobs
        self._runs = runs
        self._target = target
        self._tuned_as = tuned_as
        self._folder = folder
        self._arms = request.chosen(ARMS)
        self._reached: dict[str, dict[float, bool]] = {arm.title: {} for arm in self._arms}
        self._found: dict[str, list[RunRecord]] = {arm.title: [] for arm in self._arms}
        self._searched: dict[int, Job] = {}
        self.lost: list[str] = []
        """What failed and is missing from the arms, a sentence each."""

    def carry_out(self) -> ByArm:
        """Return title -> runs, of all arms, the replay last."""
        arms = {arm.title: self._jobs_of(arm) for arm in self._arms}
        while wanted := self._wanted(arms):
            found = self._runs.carry_out([job for own in wanted.values() for job in own], "runs")
            for (title, share), own in wanted.items():
                runs = [found[job.root] for job in own if job.root in found]
                self._found[title] += runs
                if len(runs) < len(own):
                    lost = len(own) - len(runs)
                    self.lost.append(
                        f"{title}: {lost} of {len(own)} runs of one length failed, and are in no figure."
                    )
                reached = [steps_to_target(run, self._target) is not None for run in runs]
                # Where every run failed there is nothing to judge by, and no other length would do better.
                self._reached[title] |= {share: mostly(reached)} if runs else dict.fromkeys(SHARES, False)
        if not self._request.replays:
            return self._found
        full = arms[AUTOLRS][FULL]
        self._searched = dict(zip(self._request.seeds, full, strict=True))
        replays = self._replays(self._runs.carry_out(full, "runs"))
        return {**self._found, **({REPLAY: replays} if replays else {})}

    def _jobs_of(self, arm: Arm) -> dict[float, list[Job]]:
        """Return length, as a share of the budget, -> its jobs on all seeds, of every length that may be run."""
        own = [*arm.overrides(self._base, self._tuned_as.get(arm.title)), self._target.override]
        lengths = {share: round(share * self._base.max_steps) for share in arm.lengths_at_most(self._base)}
        seeds = seeds_of(arm, self._request.seeds)
        found = self._jobs.of(own, seeds, list(lengths.values()), self._folder)
        return {
            share: [replace(job, label=f"{arm.title}, {steps} steps: {job.label}") for job in found[steps]]
            for share, steps in lengths.items()
        }

    def _wanted(self, arms: Mapping[str, Mapping[float, list[Job]]]) -> dict[tuple[str, float], list[Job]]:
        """Return the next length of every arm that takes one more."""
        following = {title: next_share(self._reached[title]) for title in arms}
        return {
            (title, share): arms[title][share]
            for title, share in following.items()
            if share is not None and share in arms[title]
        }

    def _replays(self, searched: Mapping[str, RunRecord]) -> list[RunRecord]:
        """Return the runs that replay another seed's LRs, of those seeds whose source is done."""
        jobs: list[Job] = []
        identities: dict[str, Identity] = {}
        for seed, source in replay_sources(seeds_of(REPLAY_ARM, self._request.seeds)).items():
            job = self._searched[source]
            run = searched.get(job.root)
            if run is None or not run.done:
                continue
            root = Path(job.root).absolute()
            if run.origin is not None:
                lay_out(run, root)
            own = ["schedule=replay", f"schedule.run={quoted(str(root))}", self._target.override]
            (made,) = self._jobs.of(own, [seed], [self._base.max_steps], self._folder)[self._base.max_steps]
            jobs.append(made)
            identities[made.root] = Replayed(root.name, seed)
        found = self._runs.carry_out_replays(identities, jobs)
        if len(found) < len(jobs):
            self.lost.append(
                f"{REPLAY}: {len(jobs) - len(found)} of {len(jobs)} runs failed, and are in no figure."
            )
        return list(found.values())
