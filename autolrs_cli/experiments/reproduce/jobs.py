"""The runs of one recipe: from overrides, seeds and lengths to jobs, each composed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from autolrs_cli.compose.grid import GridPoint, Values, compose_once, launcher_overrides
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.experiments.launchers.contract import Launcher
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce.arms import Base
from autolrs_cli.experiments.reproduce.memory import ComposedMemory
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.sweep.jobs import data_id, make_jobs
from autolrs_cli.experiments.sweep.stale import CurrentData
from autolrs_cli.experiments.tune.brackets import plan_tuning
from autolrs_cli.experiments.tune.search_space import shipped_budget
from autolrs_cli.overrides import key_in
from autolrs_cli.schedules.lengths import schedule_key
from autolrs_cli.search import PublishedSearch

SEARCHED = ("schedule=autolrs", "search=paper")
LEAN = ("schedule=autolrs", "search=lean", "average=ema")
ORIGINAL = ("schedule=original",)
STATED = ("search=paper", "average=none")
"""What arms have that say nothing else, whatever the defaults are: raw weights are read out, as the paper does."""


class RecipeJobs:
    """Composes the runs of a recipe; what was composed before of the same is remembered.

    Args:
        request: what was asked for.
        recipe: its name.
        data: learns of the data that the runs are trained on.
        errors: where problems of composing go.
    """

    def __init__(self, request: ReproductionRequest, recipe: str, data: CurrentData, errors: Console) -> None:
        self.recipe = recipe
        self._request = request
        self._data = data
        self._errors = errors
        self._memory = ComposedMemory(request.of(recipe) / "composed.json", request.overrides)
        self._points: dict[tuple[str, ...], GridPoint] = {}

    def base(self) -> Base:
        """Return what the arms have in common.

        Raises:
            ConfigError: if the recipe does not compose, or its settings or data are wrong.
        """
        plan, original = self.point(*SEARCHED).plan, self.point(*ORIGINAL).plan
        assert isinstance(plan.search, PublishedSearch)
        return Base(
            self.recipe,
            self._request.scale,
            plan.settings.run.max_steps,
            plan.search_steps,
            self.point(*LEAN).plan.search_steps,
            (plan.search.lr_min, plan.search.lr_max),
            original.length.decays,
            plan_tuning(shipped_budget(), plan.settings.run.max_steps, plan.search_steps, None, None),
            str(self.point(*ORIGINAL).composed.config["optimizer"].get("name")),
        )

    def point(self, *own: str) -> GridPoint:
        """Return one configuration, as it is on seed 0."""
        if own not in self._points:
            (self._points[own],) = self._composed(own, lambda _: [{"seed": 0}])
        return self._points[own]

    def launcher(self) -> Launcher:
        """Return where the runs are made.

        Raises:
            ConfigError: if the settings of the launcher are wrong.
        """
        return launcher_for(self.point(*ORIGINAL).launcher, launcher_overrides(self._request.overrides))

    def fingerprint(self) -> str:
        """Return the fingerprint of the data that the recipe is trained on, as they are now."""
        return self._data.fingerprint(data_id(self.point(*ORIGINAL).composed.config))

    def of(
        self, own: Sequence[str], seeds: Sequence[int], lengths: Sequence[int], folder: Path
    ) -> dict[int, list[Job]]:
        """Return length in steps -> a job for each seed.

        Args:
            own: what sets these runs apart, as overrides.
            seeds: one run for each.
            lengths: in kept steps; the schedule is fitted to each.
            folder: below it lie the run directories.
        """
        words = [*own, f"seeds={list(seeds)}", f"lengths={list(lengths)}", f"folder={folder}"]
        key = [self.recipe, self._request.scale, *self._request.overrides, *words]
        remembered = _jobs(self._memory.get(key))
        if remembered is not None and all(
            self._data.knows(j.data) for own_ in remembered.values() for j in own_
        ):
            return remembered
        wanted = [(length, seed) for length in lengths for seed in seeds]
        points = self._composed(own, lambda first: [_at(first, *each) for each in wanted])
        found = {
            length: make_jobs(
                [point.composed for point, (of, _) in zip(points, wanted, strict=True) if of == length],
                folder,
            )
            for length in lengths
        }
        self._memory.put(key, [[length, [job.to_json() for job in own_]] for length, own_ in found.items()])
        return found

    def _composed(self, own: Sequence[str], vary: Callable[[GridPoint], Sequence[Values]]) -> list[GridPoint]:
        common = [
            f"recipe={self.recipe}",
            f"scale={self._request.scale}",
            "dashboard=none",
            *self._request.launcher,
        ]
        given = list(self._request.overrides)
        if "target" in map(key_in, own):  # the one that was fixed; Hydra would merge the two
            given = [each for each in given if key_in(each).split(".")[0] != "target"]
        named = {key_in(each) for each in (*given, *own)}
        stated = [each for each in STATED if key_in(each) not in named]
        points, code = compose_once([*common, *stated, *given, *own], vary, self._errors)
        if code or not points:
            raise ConfigError(f"Every arm must compose, but {' '.join([*common, *own])} does not; see above.")
        self._data.add(points)
        return points


def _at(first: GridPoint, steps: int, seed: int) -> Values:
    """Return what makes a configuration one of that many steps: where cycles fill the run, their period changes."""
    cycles = first.plan.length.cycles
    if cycles is None:
        return {"seed": seed, "run.max_steps": steps}
    key = f"{schedule_key(first.composed.config)}.{cycles.key}"
    return {"seed": seed, "run.max_steps": steps, key: cycles.period(steps)}


def _jobs(kept: Any) -> dict[int, list[Job]] | None:
    """Return jobs as they were remembered; None: there are none, or they are damaged."""
    with suppress(TypeError, ValueError):
        return {
            int(length): [Job(**{**job, "arguments": tuple(job["arguments"])}) for job in own]
            for length, own in kept
        }
    return None
