"""The study on disk: which configurations were tried and what came of them, in Optuna's own storage."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from autolrs_cli.experiments.tune.rung_run import RungResult
from autolrs_cli.experiments.tune.search_space import (
    Point,
    Range,
    TuneSettings,
    bounds,
    parameter_name,
    spread,
    start_point,
)

BRACKET, RESULTS = "bracket", "results"


@dataclass
class Configuration:
    """One point of the space and its runs."""

    number: int
    bracket: int
    point: Point
    state: TrialState
    results: dict[int, RungResult] = field(default_factory=dict)
    """Length of the run -> what came of it."""

    @property
    def failed(self) -> RungResult | None:
        """The run that diverged, if one did."""
        return next((each for each in self.results.values() if each.loss is None), None)


class Study:
    """Ask for configurations, and keep what came of them.

    Args:
        path: the storage, a file of JSON lines; made if it is not there. One process at a time may use it.
        name: of the study.
        settings: the space, and how many configurations are drawn before they are modelled.
        seed: of the draws.
        spread_over: how many of the first configurations cover the space evenly.
    """

    def __init__(self, path: Path, name: str, settings: TuneSettings, seed: int, spread_over: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", ExperimentalWarning)
        _mend(path)
        self._storage = JournalStorage(JournalFileBackend(str(path)))
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            load_if_exists=True,
            direction="minimize",
            pruner=optuna.pruners.NopPruner(),
        )
        self._settings, self._seed = settings, seed
        others = spread(settings.space, max(0, spread_over - 1), seed)
        self._first_points = [start_point(settings.space), *others]

    def configurations(self) -> list[Configuration]:
        """Return all that were asked for, in order."""
        trials = self._study.get_trials(deepcopy=False)
        return [_configuration(trial) for trial in trials if trial.state != TrialState.WAITING]

    def entrants(self, bracket: int, most: int) -> Iterator[Configuration]:
        """Yield the configurations of a bracket: those that are there, then new ones, up to `most`."""
        known = [each for each in self.configurations() if each.bracket in (bracket, -1)]
        for configuration in known:
            yield self._enter(configuration, bracket)
        for _ in range(most - len(known)):
            yield self._enter(self._ask(), bracket)

    def record(self, configuration: Configuration, length: int, outcome: RungResult) -> None:
        """Keep what came of a run."""
        configuration.results[length] = outcome
        trial_id = self._trial_id(configuration)
        if outcome.loss is not None:
            self._storage.set_trial_intermediate_value(trial_id, length, outcome.loss)
        results = {str(steps): asdict(each) for steps, each in configuration.results.items()}
        self._storage.set_trial_user_attr(trial_id, RESULTS, results)

    def close(self, configuration: Configuration, state: TrialState) -> None:
        """Say that no run of a configuration follows: COMPLETE, PRUNED or FAIL."""
        if configuration.state != TrialState.RUNNING:
            return  # an earlier process said so
        value = configuration.results[max(configuration.results)].loss
        values = [value] if state == TrialState.COMPLETE and value is not None else None
        self._study.tell(configuration.number, values, state=state)
        configuration.state = state

    def _ask(self) -> Configuration:
        number = len(self.configurations())
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if number < len(self._first_points) and not waiting:
            self._study.enqueue_trial(self._first_points[number])
        # Seeded anew for each question, so that a study that goes on asks what it would have asked.
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed + number, n_startup_trials=self._settings.startup_trials
        )
        self._study.ask(_distributions(self._settings.space))
        return self.configurations()[-1]

    def _enter(self, configuration: Configuration, bracket: int) -> Configuration:
        if configuration.bracket == -1:
            self._storage.set_trial_user_attr(self._trial_id(configuration), BRACKET, bracket)
            configuration.bracket = bracket
        return configuration

    def _trial_id(self, configuration: Configuration) -> int:
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, configuration.number)


def _configuration(trial: FrozenTrial) -> Configuration:
    results = {
        int(steps): RungResult(**outcome) for steps, outcome in trial.user_attrs.get(RESULTS, {}).items()
    }
    bracket = trial.user_attrs.get(BRACKET, -1)  # -1: the process was killed before it said so
    return Configuration(trial.number, bracket, dict(trial.params), trial.state, results)


def _distributions(space: dict[str, Range]) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for key, given in space.items():
        low, high, continuous = bounds(given)
        found[parameter_name(key, given)] = (
            FloatDistribution(low, high, log=True) if continuous else IntDistribution(int(low), int(high))
        )
    return found


def _mend(path: Path) -> None:
    """Remove what a killed process may have left: half a last line, and Optuna's lock (ours is around it)."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    whole = path.read_bytes().rpartition(b"\n")
    if whole[2]:
        with path.open("r+b") as file:
            file.truncate(len(whole[0]) + len(whole[1]))
