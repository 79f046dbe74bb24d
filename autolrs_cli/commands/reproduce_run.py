"""The work of `autolrs reproduce`: calibrate, tune, run every arm, compare, recipe after recipe."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from autolrs_cli.commands.configuration import show_error
from autolrs_cli.commands.console import PatientConsole
from autolrs_cli.commands.grid import Point, compose_grid
from autolrs_cli.commands.sweep_ending import print_ending
from autolrs_cli.commands.sweep_run import run_jobs
from autolrs_cli.dashboard.words import duration
from autolrs_cli.durable import publish
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.experiments import reproduction
from autolrs_cli.experiments.reproduction import ArmPlan, Base, CalibratedTarget
from autolrs_cli.experiments.sweeping import Job, make_jobs, quoted
from autolrs_cli.experiments.tuning_folder import CONFIG_VARIABLE
from autolrs_cli.reports import claims
from autolrs_cli.reports.arms import group
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.comparison import Comparison, compare
from autolrs_cli.reports.goals import choose_goal, final_values
from autolrs_cli.reports.journals import read_run
from autolrs_cli.reports.speedups import Speedup, speedup
from autolrs_cli.reports.writing import write_report
from autolrs_cli.schedules.lengths import decays
from autolrs_cli.training.interruption import EXIT_CODES


class _StoppedError(Exception):
    """Somebody interrupted it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


@dataclass(frozen=True)
class _Request:
    """What was asked for, the same for every recipe."""

    seeds: tuple[int, ...]
    scale: str
    jobs: int
    directory: Path
    overrides: tuple[str, ...]
    rerun_failed: bool

    @property
    def launcher(self) -> list[str]:
        if self.jobs == 1:
            return ["hydra/launcher=basic"]
        return ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={self.jobs}"]

    def of(self, recipe: str) -> Path:
        return self.directory / self.scale / recipe

    def command(self, recipes: Sequence[str]) -> str:
        words = ["autolrs", "reproduce", *recipes, "--seeds", str(len(self.seeds)), "--scale", self.scale]
        return shlex.join([*words, *self.overrides])


def main(
    recipes: Sequence[str],
    overrides: Sequence[str],
    *,
    seeds: int,
    scale: str,
    jobs: int,
    directory: Path,
    rerun_failed: bool,
    cost_only: bool,
) -> int:
    """Carry it out; return the exit code.

    Args:
        recipes: their names; none: those that the paper makes a claim for.
        overrides: for every run of every recipe.
        seeds: how many reporting seeds.
        scale: of every run.
        jobs: runs at once.
        directory: where everything lies.
        rerun_failed: begin failed runs again.
        cost_only: say what it costs, and run nothing.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    request = _Request(tuple(range(seeds)), scale, jobs, directory, tuple(overrides), rerun_failed)
    chosen = list(dict.fromkeys(recipes)) or list(reproduction.CLAIMS)
    # Tuned schedules of this reproduction lie with it, and do not replace the person's own.
    os.environ[CONFIG_VARIABLE] = str((directory / scale / "configs").absolute())
    try:
        _require_possible(request)
        bases = [_base(request, recipe, errors) for recipe in chosen]
        for base in bases:
            console.print(_cost_table(base, seeds))
        if cost_only:
            return 0
        reproduced = [_RecipeReproduction(request, base, console, errors).carry_out() for base in bases]
        checks = [check for check, _ in reproduced]
        _write(request, chosen, checks)
    except _StoppedError as stopped:
        _say(console, f"stopped; to go on, type the same again: {request.command(chosen)}")
        return stopped.exit_code
    except AutoLRSError as error:
        show_error(errors, error)
        return error.exit_code
    console.print(claims.render(checks))
    _say(console, f"tables, reports and figures: {request.directory / request.scale}")
    return 0 if all(whole for _, whole in reproduced) else 1


def _require_possible(request: _Request) -> None:
    own = [
        each
        for each in request.overrides
        if each.lstrip("+").partition("=")[0] in ("seed", "scale", "recipe")
    ]
    if own:
        raise ConfigError(
            f"A reproduction chooses recipes, scale and seeds itself, but got {own[0]}. Name recipes as they are, and "
            "give --scale and --seeds."
        )
    if request.jobs > 1 and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        raise ConfigError(
            f"Runs at once need Hydra's joblib launcher, but it is not installed and got --jobs {request.jobs}. "
            "Install it with pip install 'autolrs[joblib]', or leave --jobs out."
        )


def _compose(request: _Request, recipe: str, own: Sequence[str], errors: Console) -> list[Point]:
    common = [f"recipe={recipe}", f"scale={request.scale}", "dashboard=none"]
    points, code = compose_grid([*common, *request.overrides, *own], errors)
    if code or not points:
        raise ConfigError(f"Every arm must compose, but {' '.join([*common, *own])} does not; see above.")
    return points


def _base(request: _Request, recipe: str, errors: Console) -> Base:
    (searched,) = _compose(request, recipe, ["schedule=autolrs", "seed=0"], errors)
    (original,) = _compose(request, recipe, ["schedule=original", "seed=0"], errors)
    plan = searched.plan
    assert plan.search is not None
    return Base(
        recipe,
        request.scale,
        plan.settings.run.max_steps,
        plan.search_steps,
        (plan.search.lr_min, plan.search.lr_max),
        decays(original.composed.config),
    )


class _RecipeReproduction:
    """One recipe, from calibration to comparison; what is done already is recognised and skipped."""

    def __init__(self, request: _Request, base: Base, console: Console, errors: Console) -> None:
        self._request = request
        self._base = base
        self._folder = request.of(base.recipe)
        self._console = console
        self._errors = errors
        self._whole = True

    def carry_out(self) -> tuple[ClaimCheck, bool]:
        """Return what was found, and whether every run came to its end."""
        self._heading("calibration")
        target = self._calibrate()
        self._heading("tuning")
        self._tune()
        self._heading("arms")
        arms = reproduction.arm_plans(self._base)
        jobs = {arm.title: self._jobs(arm, target) for arm in arms}
        self._run([job for own in jobs.values() for job in own], "runs")
        replays = self._replays(jobs[reproduction.AUTOLRS], target)
        if replays:
            self._run(replays, "runs")
            jobs[reproduction.REPLAY] = replays
        return self._compare(jobs), self._whole

    def _heading(self, text: str) -> None:
        self._console.rule(f"{self._base.recipe}: {text}", align="left")

    def _calibrate(self) -> CalibratedTarget:
        """Return the target: the recipe's own, the one calibrated earlier, or a new one."""
        path = self._folder / "target.yaml"
        known = CalibratedTarget.read(path)
        if known is None:
            seeds = reproduction.calibration_seeds(len(self._request.seeds))
            own = ["schedule=original", "target=null", f"seed={','.join(map(str, seeds))}"]
            jobs = make_jobs([p.composed for p in self._points(own)], self._folder / "calibration")
            self._run(jobs, "calibration")
            runs = [read_run(Path(job.root)) for job in jobs]
            arms = group(runs)
            goal = choose_goal(arms, arms[0], None)
            finals = {run.seed: final_values([run], goal.metric, goal.direction) for run in runs}
            last = {seed: values[0] for seed, values in finals.items() if values}
            command = self._request.command([self._base.recipe])
            known = CalibratedTarget.of(goal.metric, goal.direction, last, command)
            known.write(path)
            self._say_how_long(jobs)
        seeds_ = ", ".join(map(str, known.seeds))
        self._say(
            f"target: {known.metric} {known.value:.6g} (median final value of the original schedule over seeds "
            f"{seeds_}, less a margin of {known.margin:.3g})"
        )
        return known

    def _tune(self) -> None:
        """Carry out every study, each a process of its own, as many at once as runs."""
        with ThreadPoolExecutor(self._request.jobs) as pool:
            codes = list(pool.map(lambda study: self._study(*study), reproduction.STUDIES))
        stopped = [code for code in codes if code in EXIT_CODES.values()]
        if stopped:
            raise _StoppedError(stopped[0])
        failed = [study for study, code in zip(reproduction.STUDIES, codes, strict=True) if code]
        if failed:
            schedule, average = failed[0]
            raise ConfigError(
                f"Every rival must be tuned, but the study of {schedule} (average={average}) failed. What it said: "
                f"{self._study_folder(schedule, average)}.log"
            )

    def _study_folder(self, schedule: str, average: str) -> Path:
        return self._folder / "tuning" / f"{schedule}-{average}"

    def _study(self, schedule: str, average: str) -> int:
        folder = self._study_folder(schedule, average)
        folder.parent.mkdir(parents=True, exist_ok=True)
        own = [f"recipe={self._base.recipe}", f"scale={self._base.scale}", f"schedule={schedule}"]
        own += [f"average={average}", "dashboard=none", *self._request.overrides, "--dir", str(folder)]
        with Path(f"{folder}.log").open("ab") as log:
            code = subprocess.run(
                [sys.executable, "-m", "autolrs_cli", "tune", *own],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        self._say(f"tuned {schedule} (average={average})" if not code else f"{schedule}: exit code {code}")
        return code

    def _jobs(self, arm: ArmPlan, target: CalibratedTarget) -> list[Job]:
        seeds, steps = (",".join(map(str, each)) for each in (self._request.seeds, arm.lengths))
        own = [*arm.overrides, f"seed={seeds}", f"run.max_steps={steps}", target.override]
        return make_jobs([point.composed for point in self._points(own)], self._folder / "runs")

    def _replays(self, searched: Sequence[Job], target: CalibratedTarget) -> list[Job]:
        """Return the runs that replay another seed's LRs, of those seeds whose source is done."""
        roots = {read_run(Path(job.root)).seed: Path(job.root) for job in searched if _is_done(job)}
        jobs: list[Job] = []
        for seed, source in reproduction.replay_sources(self._request.seeds).items():
            if source in roots:
                run = quoted(str(roots[source].absolute()))
                own = ["schedule=replay", f"schedule.run={run}", f"seed={seed}", target.override]
                jobs += make_jobs([point.composed for point in self._points(own)], self._folder / "runs")
        return jobs

    def _points(self, own: Sequence[str]) -> list[Point]:
        return _compose(self._request, self._base.recipe, own, self._errors)

    def _run(self, jobs: Sequence[Job], folder: str) -> None:
        directory = self._folder / folder
        ending = run_jobs(
            jobs, self._request.launcher, directory, False, self._request.rerun_failed, self._console
        )
        if ending.signal is not None:
            raise _StoppedError(EXIT_CODES[ending.signal])
        if any(state.state != "done" for _, state in ending.runs):
            print_ending(ending, directory, self._console, compare=False)
            self._whole = False

    def _say_how_long(self, calibration: Sequence[Job]) -> None:
        """Estimate what is to come from the calibration runs."""
        ledgers = [
            orjson.loads((Path(job.root) / "summary.json").read_bytes())["ledger"] for job in calibration
        ]
        spent = sum(bucket["seconds"] for ledger in ledgers for bucket in ledger.values())
        steps = sum(bucket["steps"] for ledger in ledgers for bucket in ledger.values())
        left = sum(entry[2] for entry in reproduction.cost(self._base, len(self._request.seeds))[1:])
        seconds = left * spent / max(steps, 1) / self._request.jobs
        self._say(f"to come: {left:,} steps; about {duration(seconds)} at the speed of the calibration runs")

    def _compare(self, jobs: dict[str, list[Job]]) -> ClaimCheck:
        done = [Path(job.root) for own in jobs.values() for job in own if _is_done(job)]
        comparison = compare(done, baseline=reproduction.ORIGINAL)
        write_report(comparison, self._folder / "report")
        against_original = {title: _of(comparison, own) for title, own in jobs.items()}
        ours = against_original.pop(reproduction.AUTOLRS)
        rivals = {title: found for title, found in against_original.items() if found is not None}
        tuned = {title: against_original[title] for title in reproduction.TUNED_RIVALS}
        return ClaimCheck(
            self._base.recipe,
            reproduction.CLAIMS.get(self._base.recipe),
            ours,
            rivals,
            {title: _against(comparison, ours, each) for title, each in tuned.items() if ours and each},
            str(comparison.goal),
        )

    def _say(self, text: str) -> None:
        _say(self._console, text)


def _is_done(job: Job) -> bool:
    try:
        return bool(orjson.loads((Path(job.root) / "summary.json").read_bytes())["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _of(comparison: Comparison, jobs: Sequence[Job]) -> Speedup | None:
    """Return the speedup of the arm that `jobs` are the runs of; None for the baseline."""
    roots = {Path(job.root).absolute() for job in jobs}
    for arm in comparison.arms[1:]:
        if any(run.path.absolute() in roots for run in arm.all_runs):
            return next(each for each in comparison.speedups if each.arm == arm.name)
    return None


def _against(comparison: Comparison, ours: Speedup, rival: Speedup) -> Speedup:
    """Return our arm against a rival, both of which were compared with the baseline."""
    return speedup(ours.arm, rival.arm, comparison.outcomes[ours.arm], comparison.outcomes[rival.arm])


def _write(request: _Request, recipes: Sequence[str], checks: Sequence[ClaimCheck]) -> None:
    command = request.command(recipes)
    for name, text in (
        ("table.md", claims.as_markdown(checks, command)),
        ("table.csv", claims.as_csv(checks)),
    ):
        path = request.directory / request.scale / name
        aside = path.with_name(f"{name}.part")
        aside.write_text(text, encoding="utf-8")
        publish(aside, path)


def _cost_table(base: Base, seeds: int) -> Table:
    table = Table(
        title=f"{base.recipe} at scale={base.scale}, {seeds} seeds: what it costs",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("what")
    table.add_column("runs", justify="right")
    table.add_column("optimizer steps", justify="right")
    entries = reproduction.cost(base, seeds)
    for what, runs, steps in entries:
        table.add_row(what, f"{runs}" if runs else "", f"{steps:,}")
    table.add_row("together", str(sum(e[1] for e in entries)), f"{sum(e[2] for e in entries):,}")
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
