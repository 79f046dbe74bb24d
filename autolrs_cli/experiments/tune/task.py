"""A study from its composed configuration to the tuned schedule that it leaves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from autolrs_cli.compose.user_configs import TunedSchedule, path_of
from autolrs_cli.config_keys import lies_below
from autolrs_cli.contracts import AdaptiveSchedule, Report
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.contract import Launcher
from autolrs_cli.experiments.tune.brackets import TuningPlan, plan_tuning
from autolrs_cli.experiments.tune.hyperband import Tick, Tuner, Watcher, seconds_spent, steps_made
from autolrs_cli.experiments.tune.result import train_command, tuned_text
from autolrs_cli.experiments.tune.rung_run import RungResult, RungRun
from autolrs_cli.experiments.tune.search_space import TuneSettings, read_settings, schedule_settings
from autolrs_cli.experiments.tune.study import Configuration, Study
from autolrs_cli.experiments.tune.study_directory import StudyDirectory
from autolrs_cli.experiments.tune.trials_table import write_trials
from autolrs_cli.overrides import key_in
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.schedules.tuning import Tuning, purpose_of
from autolrs_cli.wording import counted

# What the study sets itself in every run.
_OWN_KEYS = ("seed", "dashboard", "tracker", "run.dir", "run.max_steps", "run.eval_every_steps")


@dataclass
class TuningTask:
    """Everything about one study.

    Args:
        config: resolved, of the run that is tuned for.
        node: the schedule's node with its interpolations, as the tuned one will be kept.
        given: overrides that a person typed.
        before: arguments that go before them (--config-dir).
        settings: the space.
        plan: the brackets.
        trials: the most configurations, if a person bounded them.
        run_plan: the checked run that is tuned for.
        directory: where the study lies.
        optimizer: name of the option of that group.
        launcher: where the runs are made.
    """

    config: dict[str, Any]
    node: dict[str, Any]
    given: list[str]
    before: list[str]
    settings: TuneSettings
    plan: TuningPlan
    trials: int | None
    run_plan: Plan
    directory: StudyDirectory
    optimizer: str
    launcher: Launcher

    @classmethod
    def of(
        cls,
        config: dict[str, Any],
        node: Any,
        before: list[str],
        given: list[str],
        trials: int | None,
        budget_steps: int | None,
        directory: Path | None,
        optimizer: str,
        launcher: Launcher,
    ) -> TuningTask:
        """Check everything that can be known to be wrong before a step is made.

        Raises:
            ConfigError: with what is wrong.
        """
        config = dict(config)
        settings = read_settings(config.pop("tune"))
        if config["run"]["dir"] is not None:
            raise ConfigError("A study has a run directory for each run, but got run.dir. Set --dir instead.")
        run_plan = check(config)
        max_steps = run_plan.settings.run.max_steps
        plan = plan_tuning(settings, max_steps, _search_steps(config), budget_steps, trials)
        study = StudyDirectory(directory or _usual_root(config, optimizer))
        return cls(
            config, dict(node), given, before, settings, plan, trials, run_plan, study, optimizer, launcher
        )

    @property
    def tuned(self) -> TunedSchedule:
        """Where the result is kept; only when the data are prepared."""
        return TunedSchedule(**self._names, data_fingerprint=self.run_plan.recipe.fingerprint())

    @property
    def _names(self) -> dict[str, str]:
        names = {group: str(self.config[group]["name"]) for group in ("recipe", "schedule", "average")}
        return {**names, "scale": str(self.config["scale"]), "optimizer": self.optimizer}

    @property
    def study_id(self) -> str:
        """8 hex digits that tell this study from any other; only when the data are prepared."""
        identity = self._identity()
        return config_id({**identity.pop("config"), **identity, "code_version": None}, HARMLESS_KEYS)

    @cached_property
    def option(self) -> str:
        """What to write after `schedule=` for the result; only when the data are prepared."""
        return self.tuned.option(self.study_id)

    @property
    def others(self) -> list[str]:
        """What other studies of the same recipe, scale, schedule, optimizer, averaging and data have left."""
        return [option for option in self.tuned.versions() if option != self.option]

    @property
    def command(self) -> str:
        """What to type to train with the result."""
        return train_command(self.before, self.given, self.option)

    @property
    def averaged(self) -> bool:
        """Whether the averaged weights decide."""
        return bool(self.config["average"]["name"] != "none")

    @cached_property
    def study(self) -> Study:
        """The study's storage; only while the directory is locked."""
        evenly = max(
            self.plan.brackets[0].runs[0], min(self.settings.startup_trials, self.plan.configurations)
        )
        return Study(self.directory.storage, self.study_id, self.settings, self.config["seed"], evenly)

    def prepare(self, report: Report) -> None:
        """Make the data ready, once for all runs."""
        prepare_data(self.run_plan.recipe, report)

    def open(self) -> str | None:
        """Begin or go on with the study; return a warning, if there is one.

        Raises:
            ConfigError: if the directory holds another study.
        """
        return self.directory.open(self._identity())

    def set_aside_if_stale(self) -> Path | None:
        """Move a study away that is this one but for its data, which have changed since; return where it lies now.

        Raises:
            ConfigError: if another process works on it, or it cannot be moved.
        """
        if not self.directory.study.exists():
            return None
        with self.directory.locked():
            return self.directory.set_aside_if_stale(self._identity())

    def _identity(self) -> dict[str, Any]:
        config = {**self.config, "schedule": self._untuned()}
        return {
            "config": {**config, "tune": self.settings.model_dump()},
            "plan": asdict(self.plan),
            "data_fingerprint": self.run_plan.recipe.fingerprint(),
            "code_version": self._code_version,
        }

    def carry_out(self, watcher: Watcher) -> Configuration:
        """Make every run that is still to be made; return the best configuration."""
        return Tuner(self.study, self.plan, self.trials, self._train, watcher).carry_out()

    def steps_made(self) -> int:
        """Return the optimizer steps of all finished runs."""
        return steps_made(self.study.configurations())

    def write_trials(self) -> None:
        """Write the table of all configurations."""
        found = self.study.configurations()
        if found:
            write_trials(self.directory.trials, found)

    def keep(self, best: Configuration) -> None:
        """Write the tuned schedule where Hydra finds it, a copy beside the study, and the figure."""
        from autolrs_cli.experiments.tune.figure import draw

        text = tuned_text(self.node, self.tuning(best), self._facts(best))
        for path in (path_of(self.option), self.directory.best):
            write_whole(path, text)
        title = f"{self.tuned.schedule} on {self.tuned.recipe} at scale={self.tuned.scale}, tuned"
        draw(self.directory.plot, title, self.settings.space, self.study.configurations(), best)

    def tuning(self, best: Configuration) -> Tuning:
        """Return what was found, and what finding it took: all runs of the study."""
        everything, fingerprint = self.study.configurations(), self.run_plan.recipe.fingerprint()
        settings = self._settings_at(best).items()
        return Tuning(
            option=self.option,
            study=self.study_id,
            steps=steps_made(everything),
            seconds=round(seconds_spent(everything), 1),
            runs=sum(len(each.results) for each in everything),
            configurations=len(everything),
            max_steps=self.run_plan.settings.run.max_steps,
            purpose=purpose_of(self.config, fingerprint),
            found={key: value for key, value in settings if key in self.settings.space},
        )

    def _train(self, configuration: Configuration, length: int, tick: Tick) -> RungResult:
        directory = self.directory.run(configuration.number, length)
        overrides = self.overrides(configuration, length)
        return RungRun(directory, overrides, self.averaged, self.launcher).finish(tick)

    def overrides(self, configuration: Configuration, length: int) -> list[str]:
        """Return what follows `autolrs train` for a run of `length` steps, fully decayed over them."""
        settings = self._settings_at(configuration, length)
        own = {*_OWN_KEYS, *(f"schedule.{key}" for key in settings)}
        kept = [
            each for each in self.given if (key := key_in(each)) not in own and not lies_below(key, ("tune",))
        ]
        return [
            *self.before,
            *kept,
            *(f"schedule.{key}={value!r}" for key, value in settings.items()),
            f"seed={self.config['seed']}",
            f"run.max_steps={length}",
            f"run.eval_every_steps={self._eval_every_steps(length)}",
            "run.full_eval_every_steps=null",
            "dashboard=none",
            "tracker=none",
        ]

    def _eval_every_steps(self, length: int) -> int:
        """Return how often a run of `length` steps is evaluated: at its end, or as often as its schedule is told."""
        full = self.run_plan.settings.run
        if not isinstance(self.run_plan.schedule, AdaptiveSchedule):
            return length
        return max(1, round(full.eval_every_steps * length / full.max_steps))

    def _settings_at(self, configuration: Configuration, length: int | None = None) -> dict[str, Any]:
        full = self.run_plan.settings.run.max_steps
        return schedule_settings(
            self.settings.space,
            configuration.point,
            self.config["schedule"],
            length or full,
            full,
            self.settings.horizon_exponent,
        )

    def _untuned(self) -> dict[str, Any]:
        return {
            key: value for key, value in self.config["schedule"].items() if key not in self.settings.space
        }

    @property
    def _code_version(self) -> str:
        return code_version(self.config).total

    def _facts(self, best: Configuration) -> list[str]:
        tuned, tuning = self.tuned, self.tuning(best)
        weights = "averaged weights, " if self.averaged else ""
        loss = best.results[max(best.results)].loss
        overrides = shlex.join(each for each in self.given if not each.startswith("tune=")) or "none"
        return [
            f"{tuned.schedule} for {tuned.recipe} at scale={tuned.scale}, optimizer={tuned.optimizer}, "
            f"average={tuned.average}, tuned in {tuning.steps:,} steps.   {self.command}",
            f"By `autolrs tune`, {datetime.now().astimezone():%Y-%m-%d %H:%M}; "
            f"study {tuning.study} in {self.directory.root.absolute()}",
            f"Objective: loss on the slice that chooses LRs, {weights}{loss!r} after a run of "
            f"{max(best.results)} steps.",
            f"Budget: {self.plan.budget_steps} steps; {tuning.steps} made, in {counted(tuning.runs, 'run')} of "
            f"{counted(tuning.configurations, 'configuration')}. AutoLRS as published makes "
            f"{self.plan.search_steps} to search.",
            f"For run.max_steps={tuning.max_steps}; tuned on seed {self.config['seed']}; overrides: {overrides}",
            f"Code version {self._code_version}; data fingerprint {tuned.data_fingerprint}: "
            f"{self.run_plan.recipe.describe().data}",
        ]


def _usual_root(config: Mapping[str, Any], optimizer: str) -> Path:
    recipe, schedule, average = (str(config[group]["name"]) for group in ("recipe", "schedule", "average"))
    suffix = "" if average == "none" else f"_{average}"
    return Path("tuning", recipe, str(config["scale"]), f"{schedule}{suffix}-{optimizer}")


def _search_steps(config: Mapping[str, Any]) -> int:
    """Return how many steps the published search would make in the same run, whatever optimizer that has."""
    tree = files("autolrs_configs")
    published = {"schedule": "autolrs", "search": "paper", "optimizer": "sgd"}
    groups = {group: OmegaConf.load(str(tree / group / f"{name}.yaml")) for group, name in published.items()}
    whole = OmegaConf.create({**config, **groups})
    plain = OmegaConf.to_container(whole, resolve=True)
    assert isinstance(plain, dict)
    return check({str(key): value for key, value in plain.items()}).search_steps
