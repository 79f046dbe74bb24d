"""One recipe of a reproduction, from the calibration of its target to its comparison."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from autolrs_cli.compose.grid import GridPoint
from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import RESUMABLE, ExitCode
from autolrs_cli.experiments.own_process import environment, python_module
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.experiments.reproduce import arms as reproduction
from autolrs_cli.experiments.reproduce.arms import ArmPlan, Base
from autolrs_cli.experiments.reproduce.cost import cost_table, time_needed
from autolrs_cli.experiments.reproduce.request import ReproductionRequest, compose
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.experiments.sweep.jobs import Job, data_id, make_jobs
from autolrs_cli.experiments.sweep.results import print_ending
from autolrs_cli.experiments.sweep.run_status import state_of
from autolrs_cli.experiments.sweep.stale import CurrentData, said_of_stale
from autolrs_cli.experiments.sweep.sweep import run_jobs
from autolrs_cli.experiments.tune.result import option_in
from autolrs_cli.experiments.tune.study_directory import StudyDirectory
from autolrs_cli.records.find_runs import find_run_directories
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.compare.arms import group
from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.compare.run_record import read_run
from autolrs_cli.reports.compare.speedups import Speedup, speedup
from autolrs_cli.reports.compare.target import choose_goal, final_values
from autolrs_cli.reports.render.write_report import write_report
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.schedules.lengths import schedule_key
from autolrs_cli.signals import LIKE_TERM, handling
from autolrs_cli.terminal.console import say
from autolrs_cli.wording import quoted


class RecipeReproduction:
    """One recipe, from calibration to comparison; what is done already is recognised and skipped."""

    def __init__(self, request: ReproductionRequest, base: Base, console: Console, errors: Console) -> None:
        self._request = request
        self._base = base
        self._folder = request.of(base.recipe)
        self._console = console
        self._errors = errors
        self._data = CurrentData(console)
        self._whole = True
        self._studies: list[subprocess.Popen[bytes]] = []

    def carry_out(self) -> tuple[ClaimCheck, bool]:
        """Return what was found, and whether every run came to its end."""
        target = self.calibrate()
        self._heading("tuning")
        self._tune()
        self._heading("arms")
        arms = reproduction.arm_plans(self._base, self._tuned_as())
        jobs = {arm.title: self._jobs(arm, target) for arm in arms}
        self._run([job for own in jobs.values() for job in own], "runs")
        replays = self._replays(jobs[reproduction.AUTOLRS], target)
        if replays:
            self._run(replays, "runs")
            jobs[reproduction.REPLAY] = replays
        return self._compare(jobs), self._whole

    @property
    def begun(self) -> bool:
        """Whether some of it was run before."""
        return (self._folder / "tuning").exists()

    def say_cost(self, *, timed: bool) -> None:
        """Print what it costs, with the time that it takes if a few steps are `timed`."""
        known = self._known_target()
        seeds = len(self._request.seeds)
        entries = reproduction.cost(self._base, seeds, calibrated=known is not None)
        self._console.print(cost_table(self._base, entries, seeds))
        if timed:
            self._say(time_needed(self._request, self._base, entries, self._errors))

    def _heading(self, text: str) -> None:
        self._console.rule(f"{self._base.recipe}: {text}", align="left")

    @property
    def _target_file(self) -> Path:
        return self._folder / "target.yaml"

    def calibrate(self) -> CalibratedTarget:
        """Return the target: the one calibrated here earlier, the recipe's own, or a new one."""
        self._heading("calibration")
        known = self._known_target()
        if known is None:
            known = self._calibrated_anew()
        known.write(self._target_file)
        self._say(f"target: {known}")
        return known

    def _known_target(self) -> CalibratedTarget | None:
        """Return what was calibrated here, or the recipe's own; what the person gives now goes before both."""
        kept = None if self._request.gives_target else CalibratedTarget.read(self._target_file)
        if kept is not None and self._is_of_these_data(kept):
            return kept
        return self._shipped()

    def _is_of_these_data(self, target: CalibratedTarget) -> bool:
        """Tell whether a target was calibrated on the data as they are now.

        Raises:
            ConfigError: if not, and nobody asked to do again what is stale.
        """
        (original,) = self._points(["schedule=original", "seed=0"])
        now = self._data.fingerprint(data_id(original.composed.config))
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
        (original,) = self._points(["schedule=original", "seed=0"])
        recipe, settings = original.plan.recipe, original.plan.settings.target
        if settings is None:
            return None
        prepare_data(recipe)
        return CalibratedTarget.shipped(settings, recipe.fingerprint())

    def _calibrated_anew(self) -> CalibratedTarget:
        seeds = reproduction.calibration_seeds(len(self._request.seeds))
        own = ["schedule=original", "target=null", f"seed={','.join(map(str, seeds))}"]
        jobs = make_jobs([p.composed for p in self._points(own)], self._folder / "calibration")
        self._run(jobs, "calibration")
        runs = [read_run(Path(job.root)) for job in jobs if _is_done(job)]
        if not runs:
            raise ConfigError(
                f"A target needs calibration runs that came to their end, but none of {len(jobs)} did. Look into "
                f"{self._folder / 'calibration'}."
            )
        arms = group(runs)
        goal = choose_goal(arms, arms[0], None)
        finals = {run.seed: final_values([run], goal.metric, goal.direction) for run in runs}
        last = {seed: values[0] for seed, values in finals.items() if values}
        command = self._request.command([self._base.recipe])
        fingerprint = str(runs[0].started["data_fingerprint"])
        return CalibratedTarget.of(goal.metric, goal.direction, last, command, fingerprint)

    def _tune(self) -> None:
        """Carry out every study, each a process of its own, as many at once as runs."""
        with _terminating(self._studies), ThreadPoolExecutor(self._request.jobs) as pool:
            codes = list(pool.map(lambda study: self._study(*study), reproduction.STUDIES))
        stopped = [code for code in codes if code in RESUMABLE]
        if stopped:
            raise ExperimentStopped(stopped[0])
        failed = [study for study, code in zip(reproduction.STUDIES, codes, strict=True) if code]
        if failed:
            schedule, average = failed[0]
            log = Path(f"{self._study_folder(schedule, average)}.log")
            raise ConfigError(
                f"Every rival must be tuned, but the study of {schedule} (average={average}) failed: "
                f"{last_words(log)} All that it said: {log}"
            )

    def _tuned_as(self) -> dict[tuple[str, str], str]:
        """Return what each study calls what it found."""
        return {
            study: option_in(StudyDirectory(self._study_folder(*study)).best)
            for study in reproduction.STUDIES
        }

    def _study_folder(self, schedule: str, average: str) -> Path:
        return self._folder / "tuning" / f"{schedule}-{average}"

    def _study(self, schedule: str, average: str) -> int:
        folder = self._study_folder(schedule, average)
        folder.parent.mkdir(parents=True, exist_ok=True)
        own = [f"recipe={self._base.recipe}", f"scale={self._base.scale}", f"schedule={schedule}"]
        own += [f"average={average}", "dashboard=none", *self._request.overrides, "--dir", str(folder)]
        own += ["--rerun-stale"] * self._request.rerun_stale
        with Path(f"{folder}.log").open("ab") as log:
            process = subprocess.Popen(
                python_module("autolrs_cli", "tune", *own),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches it once, through us
            )
            self._studies.append(process)
            code = process.wait()
        self._say(f"tuned {schedule} (average={average})" if not code else f"{schedule}: exit code {code}")
        return code

    def _jobs(self, arm: ArmPlan, target: CalibratedTarget) -> list[Job]:
        seeds = ",".join(map(str, self._request.seeds))
        own = [*arm.overrides, f"seed={seeds}", target.override]
        first = self._points(own)[0]
        cycles = first.plan.length.cycles
        if cycles is None:
            steps = ",".join(map(str, arm.lengths))
            points = self._points([*own, f"run.max_steps={steps}"])
        else:  # the period is another one at each length
            key = f"{schedule_key(first.composed.config)}.{cycles.key}"
            points = [
                point
                for steps in arm.lengths
                for point in self._points([*own, f"run.max_steps={steps}", f"{key}={cycles.period(steps)}"])
            ]
        return make_jobs([point.composed for point in points], self._folder / "runs")

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

    def _points(self, own: Sequence[str]) -> list[GridPoint]:
        points = compose(self._request, self._base.recipe, own, self._errors)
        self._data.add(points)
        return points

    def _run(self, jobs: Sequence[Job], folder: str) -> None:
        directory = self._folder / folder
        self._require_none_stale(jobs)
        ending = run_jobs(
            jobs, self._request.launcher, directory, False, self._request.again, self._data, self._console
        )
        if ending.signal is not None:
            raise ExperimentStopped(ExitCode.of_signal(signal.Signals[ending.signal]))
        if any(state.state != "done" for _, state in ending.runs):
            print_ending(ending, directory, self._console, compare=False)
            self._whole = False

    def _require_none_stale(self, jobs: Sequence[Job]) -> None:
        if self._request.rerun_stale:
            return
        stale = said_of_stale(zip(jobs, self._data.states(jobs), strict=True))
        if stale is not None:
            raise ConfigError(f"The runs of a reproduction must be of the data as they are now, but {stale}")

    def _compare(self, jobs: dict[str, list[Job]]) -> ClaimCheck:
        done = [Path(job.root) for own in jobs.values() for job in own if state_of(Path(job.root)).has_result]
        titles = {Path(job.root).absolute(): title for title, own in jobs.items() for job in own}
        comparison = compare(self._fewest_words(done), baseline=reproduction.ORIGINAL, titles=titles)
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
            tuple(provenance(comparison)),
        )

    def _fewest_words(self, done: Sequence[Path]) -> Sequence[Path]:
        """Return the folder of all runs if these are all that it holds: the report names what it was made of."""
        folder = self._folder / "runs"
        held = {path.absolute() for path in find_run_directories([folder])}
        return [folder] if held == {path.absolute() for path in done} else done

    def _say(self, text: str) -> None:
        say(self._console, text)


@contextmanager
def _terminating(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Stop `processes` when this one is asked to stop, and wait for them.

    Raises:
        ExperimentStopped: after a signal that asks to stop.
    """
    heard: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if heard and number in LIKE_TERM:  # these come again by themselves, while the studies are waited for
            return
        heard.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)
        raise ExperimentStopped(ExitCode.of_signal(number))

    with handling(stop):
        yield


def _is_done(job: Job) -> bool:
    return state_of(Path(job.root)).state == "done"


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
