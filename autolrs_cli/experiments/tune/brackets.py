"""How many steps a study will make, and in which runs: said before the first of them.

A bracket is one of Hyperband's (Li et al. 2018, arXiv 1603.06560), synchronous: it tries many configurations in short
runs, and the best of them in runs as long as the one that is tuned for, which alone decide. Each run is a whole
training run, decayed over its own length, never the beginning of a longer one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.tune.search_space import BudgetSettings


@dataclass(frozen=True)
class Bracket:
    """Successive halving: `runs[i]` runs of `lengths[i]` steps, the last of them of full length."""

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
        search_steps: what the published search costs in the run that is tuned for.
    """

    brackets: tuple[Bracket, ...]
    budget_steps: int
    search_steps: int

    @property
    def steps(self) -> int:
        """Optimizer steps of all runs, if none diverges."""
        return sum(bracket.steps for bracket in self.brackets)

    @property
    def runs(self) -> int:
        """How many runs are made, if none diverges."""
        return sum(sum(bracket.runs) for bracket in self.brackets)

    @property
    def configurations(self) -> int:
        """How many configurations are tried."""
        return sum(bracket.runs[0] for bracket in self.brackets)


def plan_tuning(
    settings: BudgetSettings, max_steps: int, search_steps: int, budget_steps: int | None, trials: int | None
) -> TuningPlan:
    """Return a plan that spends the budget in whole brackets.

    Args:
        settings: of the brackets.
        max_steps: of the run that is tuned for.
        search_steps: what the published search costs in it.
        budget_steps: None: as many full lengths as the settings say, or what the search costs, if that is more.
        trials: the most configurations; None: as many as the settings say.

    Raises:
        ConfigError: if the budget is below that, or the trials cannot use it up.
    """
    fair = max(settings.budget_lengths * max_steps, search_steps)
    budget = fair if budget_steps is None else budget_steps
    if budget < fair:
        raise ConfigError(
            f"Every schedule must be tuned with as many steps as {settings.budget_lengths} runs of full length make, "
            f"and as AutoLRS as published makes to search ({search_steps:,}), so that the comparison is fair: {fair:,} "
            f"here, but got --budget-steps {budget}. Raise it, or leave it out."
        )
    count = math.ceil(budget / (settings.budget_lengths * max_steps))
    bracket = _bracket(settings, max_steps, settings.entrants if trials is None else trials // count)
    plan = TuningPlan((bracket,) * count, budget, search_steps)
    if trials is not None and plan.configurations > trials:
        raise ConfigError(
            f"A study must use up its budget of {budget:,} steps, {settings.budget_lengths} configurations or more for "
            f"each {settings.budget_lengths * max_steps:,}, but got --trials {trials}. Set it to "
            f"{count * settings.budget_lengths} or more, or leave it out."
        )
    return plan


def _bracket(settings: BudgetSettings, max_steps: int, entrants: int) -> Bracket:
    """Return a bracket whose short runs share what the finalists leave of `budget_lengths`.

    So it costs the same, but for rounding up, however many entrants there are.
    """
    short_steps = (settings.budget_lengths - settings.finalists) * max_steps
    entrants = min(entrants, short_steps // settings.shortest_steps)
    if entrants <= settings.budget_lengths:  # the budget pays for runs of full length for all of them
        return Bracket((settings.budget_lengths,), (max_steps,))
    length = math.ceil(short_steps / entrants)
    return Bracket((entrants, settings.finalists), (length, max_steps))
