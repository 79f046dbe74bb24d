"""Tune a schedule: successive halving whose every rung is a training run of its own, decayed over its own length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from optuna.trial import TrialState

from autolrs_cli.errors import TrainingError
from autolrs_cli.experiments.tune.brackets import Bracket, TuningPlan
from autolrs_cli.experiments.tune.rung_run import RungResult
from autolrs_cli.experiments.tune.study import Configuration, Study

Tick = Callable[[int], None]


class Train(Protocol):
    """Runs one configuration for so many steps, or reads what an earlier process ran."""

    def __call__(self, configuration: Configuration, length: int, tick: Tick) -> RungResult:
        """Return how it ended."""


class Watcher(Protocol):
    """Shows a person how it goes."""

    def began(self, configuration: Configuration, length: int) -> None:
        """A run of `length` steps begins, or goes on."""

    def made(self, steps: int) -> None:
        """So many steps of that run are made."""

    def ended(self, configuration: Configuration, length: int, outcome: RungResult) -> None:
        """That run has ended, now or in an earlier process."""


class Tuner:
    """Carry out a plan.

    Args:
        study: what is known so far, and where it is kept.
        plan: the brackets.
        trials: the most configurations; None: a bracket may replace those that diverge.
        train: makes the runs.
        watcher: shows them.
    """

    def __init__(
        self, study: Study, plan: TuningPlan, trials: int | None, train: Train, watcher: Watcher
    ) -> None:
        self.study = study
        self.plan = plan
        self._trials = trials
        self._train = train
        self._watcher = watcher

    def carry_out(self) -> Configuration:
        """Make every run that is still to be made; return the best configuration of the longest runs.

        Raises:
            TrainingError: if a run failed for a reason other than its LRs, or every long one diverged.
            ExperimentStopped: if the study was asked to stop.
        """
        for index, bracket in enumerate(self.plan.brackets):
            self._halve(index, bracket)
        return best_of(self.study.configurations())

    def _halve(self, index: int, bracket: Bracket) -> None:
        """Carry out one bracket: at each rung, the configurations with the lowest losses go on."""
        # What diverges early leaves its steps to another configuration, unless their number is bounded.
        most = bracket.runs[0] * (2 if self._trials is None else 1)
        runners: Iterable[Configuration] = self.study.entrants(index, most)
        last = len(bracket.lengths) - 1
        for rung, (count, length) in enumerate(zip(bracket.runs, bracket.lengths, strict=True)):
            through = list(self._rung(runners, count, length))
            ranked = sorted(through, key=lambda each: (each.results[length].loss, each.number))
            if rung == last:
                for configuration in ranked:
                    self.study.close(configuration, TrialState.COMPLETE)
            runners = ranked
        for configuration in self.study.configurations():
            if configuration.bracket == index:
                self.study.close(configuration, TrialState.PRUNED)

    def _rung(self, runners: Iterable[Configuration], count: int, length: int) -> Iterator[Configuration]:
        """Train configurations for `length` steps, until `count` such runs are paid for; yield those with a loss."""
        left = count * length
        for configuration in runners:
            outcome = self._run(configuration, length)
            left -= outcome.steps
            if outcome.loss is None:
                self.study.close(configuration, TrialState.FAIL)
            else:
                yield configuration
            if left <= 0:
                return

    def _run(self, configuration: Configuration, length: int) -> RungResult:
        self._watcher.began(configuration, length)
        outcome = configuration.results.get(length)
        if outcome is None:
            outcome = self._train(configuration, length, self._watcher.made)
            self.study.record(configuration, length, outcome)
        self._watcher.ended(configuration, length, outcome)
        return outcome


def best_of(configurations: Iterable[Configuration]) -> Configuration:
    """Return the configuration with the lowest loss in the longest runs.

    Raises:
        TrainingError: if none has come through one.
    """
    complete = [each for each in configurations if each.state == TrialState.COMPLETE]
    if not complete:
        raise TrainingError(
            "Some configuration must come through its longest run, but every one diverged. Lower the LRs that are "
            "looked at (tune.space.peak_lr.high) and begin a new study."
        )
    return min(complete, key=lambda each: (each.results[max(each.results)].loss, each.number))


def steps_made(configurations: Iterable[Configuration]) -> int:
    """Return the optimizer steps of all runs, from their ledgers."""
    return sum(outcome.steps for each in configurations for outcome in each.results.values())


def seconds_spent(configurations: Iterable[Configuration]) -> float:
    """Return the seconds of all runs, from their ledgers."""
    return sum(outcome.seconds for each in configurations for outcome in each.results.values())
