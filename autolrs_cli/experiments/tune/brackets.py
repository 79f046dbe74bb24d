"""How many steps a study will make, and in which runs: said before the first of them.

Hyperband (Li et al. 2018, arXiv 1603.06560, Algorithm 1), the synchronous one: a bracket tries some configurations in
short runs, and the best 1 in `reduction_factor` go on to a run that many times as long. Each such run is a whole
training run, decayed over its own length, never the beginning of a longer one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.tune.search_space import TuneSettings


@dataclass(frozen=True)
class Bracket:
    """Successive halving from one rung on: `runs[i]` runs of `lengths[i]` steps."""

    runs: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Optimizer steps, if no run diverges."""
        return sum(count * length for count, length in zip(self.runs, self.lengths, strict=True))


@dataclass(frozen=True)
class TuningPlan:
    """The brackets of a study.

    Args:
        brackets: in the order in which they are carried out.
        budget_steps: what the person (or the default) asks for; the brackets cost that much or more.
        search_steps: what AutoLRS's search costs in the run that is tuned for.
    """

    brackets: tuple[Bracket, ...]
    budget_steps: int
    search_steps: int

    @property
    def steps(self) -> int:
        """Optimizer steps of all runs, if none diverges."""
        return sum(bracket.steps for bracket in self.brackets)

    @property
    def configurations(self) -> int:
        """How many configurations are tried."""
        return sum(bracket.runs[0] for bracket in self.brackets)


def plan_tuning(
    settings: TuneSettings, max_steps: int, search_steps: int, budget_steps: int | None, trials: int | None
) -> TuningPlan:
    """Return a plan that spends the budget in runs as long as it can pay for.

    The longest rung is the longest of 1, 1/eta, 1/eta^2, ... of the run of which the budget, counted in searches, pays
    for a whole first bracket; with few `trials` runs are longer.

    Args:
        settings: of Hyperband.
        max_steps: of the run that is tuned for.
        search_steps: what AutoLRS's search costs in it.
        budget_steps: None: as many as the search costs.
        trials: the most configurations; None: as many as the budget pays for.

    Raises:
        ConfigError: if the budget is below what the search costs, or the trials cannot use it up.
    """
    budget = search_steps if budget_steps is None else budget_steps
    if trials is not None and trials < 1:
        raise ConfigError(
            f"A study must try 1 configuration or more, but got --trials {trials}. Raise --trials."
        )
    if budget < search_steps:
        raise ConfigError(
            f"A schedule must be tuned with as many steps as AutoLRS's search makes here ({search_steps:,}) or more, "
            f"so that the comparison is fair, but got --budget-steps {budget}. Raise it, or leave it out."
        )
    eta, most = settings.reduction_factor, trials or budget
    share = _longest_share(settings, budget / search_steps)
    ladders = [_lengths(settings, max(1, round(max_steps * share)))]
    while share < 1:
        share = min(1.0, share * eta)
        ladders.append(_lengths(settings, max(1, round(max_steps * share))))
    # Few configurations can still use the budget if the short runs are left out.
    ladders += [ladders[-1][rung:] for rung in range(1, len(ladders[-1]))]
    plans = [TuningPlan(_brackets(each, eta, budget, most), budget, search_steps) for each in ladders]
    found = next((plan for plan in plans if plan.steps >= budget), None)
    if found is None:
        raise ConfigError(
            f"A study must use up its budget of {budget:,} steps, but --trials {trials} can use "
            f"{max(plan.steps for plan in plans):,} at most. Raise --trials, or leave it out."
        )
    return found


def _longest_share(settings: TuneSettings, searches: float) -> float:
    """Return the longest rung as a share of the run, for a budget of so many searches."""
    share = 1.0
    while settings.max_rungs * share > searches + 1e-9:
        share /= settings.reduction_factor
    return share


def _lengths(settings: TuneSettings, longest: int) -> tuple[int, ...]:
    lengths = [longest]
    while len(lengths) < settings.max_rungs:
        shorter = round(longest / settings.reduction_factor ** len(lengths))
        if shorter < settings.shortest_steps:
            break
        lengths.insert(0, shorter)
    return tuple(lengths)


def _brackets(lengths: tuple[int, ...], eta: int, budget: int, trials: int) -> tuple[Bracket, ...]:
    """Return Hyperband's brackets, again and again until the budget or the trials are used up."""
    brackets: list[Bracket] = []
    rungs = len(lengths)
    while budget > 0 and trials > 0:
        first = len(brackets) % rungs
        halvings = rungs - 1 - first
        full = min(trials, math.ceil(rungs / (halvings + 1) * eta**halvings))
        # The last bracket is cut to what is left; the first is not, so that few trials are all used.
        sizes = range(1 if brackets else full, full + 1)
        tried = [_bracket(size, lengths[first:], eta) for size in sizes]
        bracket = next((each for each in tried if each.steps >= budget), tried[-1])
        brackets.append(bracket)
        budget -= bracket.steps
        trials -= bracket.runs[0]
    return tuple(brackets)


def _bracket(size: int, lengths: tuple[int, ...], eta: int) -> Bracket:
    """Return successive halving of `size` configurations, without the rungs from which all would go on."""
    runs = [max(1, size // eta**rung) for rung in range(len(lengths))]
    kept = [i for i, count in enumerate(runs) if i == len(runs) - 1 or runs[i + 1] < count]
    return Bracket(tuple(runs[i] for i in kept), tuple(lengths[i] for i in kept))
