"""Compare runs: arms, pairs of equal seeds, speedups, and what weakens them. Pure data, from journals alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from autolrs_cli.contracts import WeightsKind
from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.arms import Arm, group
from autolrs_cli.reports.compare.caveats import caveats, doubts
from autolrs_cli.reports.compare.compatibility import (
    differences,
    hardware_notes,
    split_superseded,
    stopped_short,
    twins,
    unfinished,
)
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.outcomes import Racer, TargetOutcome, racers
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.sources import Sources, read_sources
from autolrs_cli.reports.compare.speedups import Speedup, speedup
from autolrs_cli.reports.compare.target import choose_goal, final_values, usual_length
from autolrs_cli.reports.compare.target_curve import TargetCurve, target_curves, target_grid
from autolrs_cli.reports.compare.time_to_target import Goal
from autolrs_cli.reports.compare.tuning_cost import TuningCost, tuning_cost
from autolrs_cli.wording import look_alike, named

BASELINE = "original"


@dataclass(frozen=True)
class ComparisonRequest:
    """What was asked for; enough to ask again."""

    run_dirs: tuple[Path, ...]
    target: float | None
    baseline: str | None
    force: bool


@dataclass(frozen=True)
class Comparison:
    """Everything that table, figures and report show."""

    request: ComparisonRequest
    goal: Goal
    arms: tuple[Arm, ...]
    """The baseline first."""
    budget: int
    """The usual length of a run, in kept steps."""
    outcomes: Mapping[str, Mapping[int, TargetOutcome]]
    """Arm -> seed -> when it reached the target."""
    finals: Mapping[str, Sequence[float]]
    """Arm -> the metric at the end of each seed's run of the usual length; infinitely bad where it diverged."""
    weights: Mapping[str, WeightsKind]
    """Arm -> whose curve decides: that of the raw or of the averaged weights."""
    tuning: Mapping[str, TuningCost]
    """Arm -> what finding its settings took."""
    speedups: tuple[Speedup, ...]
    """One for each arm but the baseline."""
    curves: tuple[TargetCurve, ...]
    refused: tuple[str, ...]
    """Why these runs should not be compared; not empty only under `force`."""
    warnings: tuple[str, ...]
    """What weakens the figures, and what is odd about single runs."""
    limit: PracticalLimit | None = None
    """Against this very target, if it was measured."""

    @property
    def baseline(self) -> Arm:
        """The arm that every ratio has above the line."""
        return self.arms[0]

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run of every arm."""
        return tuple(run for arm in self.arms for run in arm.all_runs)


def compare(
    run_dirs: Sequence[Path],
    *,
    target: float | None = None,
    baseline: str | None = None,
    force: bool = False,
    sources: Sources | None = None,
    titles: Mapping[Path, str] | None = None,
    limit: PracticalLimit | None = None,
) -> Comparison:
    """Compare the runs at and below `run_dirs`.

    Args:
        run_dirs: run directories, folders that hold them at any depth, and archives of runs.
        target: value of the metric to race for; None: that of the runs' configuration, else the baseline's median
            final value, which makes no claim.
        baseline: name of the arm to compare with, or its number in the order of names; None: `original`, whatever its
            averaging, or the other arm beside a searched one.
        force: compare runs that may not be compared; what speaks against it goes into `refused`.
        sources: what lies there, where it is read already.
        titles: absolute run directory -> a better name for its arm than the one that its settings give.
        limit: the practical limit; None, or of another target: that of the archives, if they have one.

    Raises:
        ConfigError: if there is nothing to compare, or the runs may not be compared.
    """
    found = sources or read_sources(run_dirs, force=force)
    runs, superseded = split_superseded(found.runs)
    arms = _titled(group(runs), titles or {}, found.runs)
    refused = [
        *found.unreadable,
        *unfinished(runs),
        *differences(runs, target_matters=target is None),
        *twins(arms),
    ]
    if refused and not force:
        raise ConfigError([*refused[:-1], f"{refused[-1]} Or compare anyway, under a banner: --force."])
    arms = _baseline_first(arms, baseline)
    goal = choose_goal(arms, arms[0], target)
    racing = {arm.name: racers(arm, goal) for arm in arms}
    refused += _hidden_ends(racing, goal, force=force)
    outcomes = {name: _outcomes(own, goal) for name, own in racing.items()}
    _require_reached(outcomes, arms, goal, force=force)
    speedups = [
        speedup(arm.name, arms[0].name, outcomes[arm.name], outcomes[arms[0].name]) for arm in arms[1:]
    ]
    _require_pairs(speedups)
    budget, tuning = usual_length(arms), {arm.name: tuning_cost(arm) for arm in arms}
    return Comparison(
        # By its name: numbers change with the runs.
        ComparisonRequest(tuple(run_dirs), target, None if baseline is None else arms[0].name, force),
        goal,
        tuple(arms),
        budget,
        outcomes,
        {arm.name: _finals(arm, budget, goal) for arm in arms},
        {name: _weights(own) for name, own in racing.items()},
        tuning,
        tuple(speedups),
        tuple(target_curves(racing, arms[0].name, target_grid(racing, goal))),
        tuple(refused),
        (
            *caveats(arms, goal, speedups, outcomes),
            *_guessed(tuning),
            *hardware_notes(runs),
            *superseded,
            *dict.fromkeys(found.notes),
            *doubts(arms),
        ),
        _limit([*([limit] if limit else []), *found.limits], goal, runs),
    )


def _guessed(tuning: Mapping[str, TuningCost]) -> list[str]:
    return [
        f"{name}: its LRs are a guess here; {cost.words}" for name, cost in tuning.items() if cost.elsewhere
    ]


def _titled(arms: Sequence[Arm], titles: Mapping[Path, str], runs: Sequence[RunRecord]) -> list[Arm]:
    """Return the arms by their better names: those that have one in the order of their runs, then the others."""
    places = {id(run): place for place, run in enumerate(runs)}
    found: list[tuple[int, Arm]] = []
    for arm in arms:
        here = (titles[p] for run in arm.all_runs if (p := run.path.absolute()) in titles)
        archived = (run.origin.title for run in arm.all_runs if run.origin and run.origin.title)
        title = next(chain(here, archived), None)
        place = len(runs) if title is None else min(places[id(run)] for run in arm.all_runs)
        found.append((place, arm if title is None else replace(arm, name=title)))
    return [arm for _, arm in sorted(found, key=lambda each: each[0])]


def _limit(limits: Sequence[PracticalLimit], goal: Goal, runs: Sequence[RunRecord]) -> PracticalLimit | None:
    """Return the practical limit of this target and these data, if there is one."""
    fingerprint = runs[0].started.get("data_fingerprint")
    return next((each for each in limits if each.is_of(goal, fingerprint)), None)


def _baseline_first(arms: list[Arm], wanted: str | None) -> list[Arm]:
    names = [arm.name for arm in arms]
    listed = ", ".join(map(named, names))
    if len(arms) < 2:
        raise ConfigError(
            f"A comparison needs two arms or more, but every run is of {listed}. Add runs of another schedule, for "
            "example schedule=original."
        )
    chosen = _usual_baseline(arms) if wanted is None else _numbered(names, wanted)
    if chosen not in names:
        given = "which one is not clear from the runs" if wanted is None else f"got {named(wanted)}"
        twin = look_alike(wanted, names) if wanted is not None else ""
        choices = "\n".join(f"  {number}  {name}" for number, name in enumerate(names, 1))
        raise ConfigError(
            f"The baseline must be one of the arms, but {given}. Set --baseline to a name or a number:{twin}\n{choices}"
        )
    return sorted(arms, key=lambda arm: arm.name != chosen)


def _numbered(names: Sequence[str], wanted: str) -> str:
    """Return the name that `wanted` is, or is the 1-based number of, or the schedule of alone."""
    if wanted in names:
        return wanted
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    of_schedule = [name for name in names if name.partition(" ")[0] == wanted]
    return of_schedule[0] if len(of_schedule) == 1 else wanted


def _usual_baseline(arms: Sequence[Arm]) -> str | None:
    """Return the name of the original schedule's arm, if it is one; else of the one that is not ours."""
    names = [arm.name for arm in arms]
    if BASELINE in names:
        return BASELINE
    original = [arm.name for arm in arms if _schedule_of(arm) == BASELINE]
    others = original or [name for name in names if not name.startswith("autolrs")]
    return others[0] if len(others) == 1 else None


def _schedule_of(arm: Arm) -> str:
    return str(arm.all_runs[0].config["schedule"].get("name"))


def _finals(arm: Arm, budget: int, goal: Goal) -> list[float]:
    runs = arm.at_length(budget)
    worst = -math.inf if goal.direction == "max" else math.inf
    return [*final_values(runs, goal.metric, goal.direction), *(worst for run in runs if run.diverged)]


def _weights(own: Mapping[int, Racer]) -> WeightsKind:
    return next(curve.weights for racer in own.values() for _, curve in racer.runs)


def _outcomes(own: Mapping[int, Racer], goal: Goal) -> dict[int, TargetOutcome]:
    return {seed: racer.race(goal.value) for seed, racer in own.items()}


def _hidden_ends(racing: Mapping[str, Mapping[int, Racer]], goal: Goal, *, force: bool) -> list[str]:
    hidden = stopped_short([racer for own in racing.values() for racer in own.values()], goal)
    if hidden and not force:
        raise ConfigError(hidden)
    return hidden


def _require_reached(
    outcomes: Mapping[str, Mapping[int, TargetOutcome]], arms: Sequence[Arm], goal: Goal, *, force: bool
) -> None:
    if force or any(outcome.reached for own in outcomes.values() for outcome in own.values()):
        return
    best = max if goal.direction == "max" else min
    finals = {arm.name: final_values(arm.all_runs, goal.metric, goal.direction) for arm in arms}
    reached = ", ".join(f"{name} {best(values):.4g}" for name, values in finals.items() if values)
    raise ConfigError(
        f"Some run must reach the target for a comparison, but none reaches {goal}; the best final values are "
        f"{reached}. Give an easier one with --target, or train longer."
    )


def _require_pairs(speedups: Sequence[Speedup]) -> None:
    if not any(found.pairs for found in speedups):
        names = ", ".join(found.arm for found in speedups)
        raise ConfigError(
            f"Arms are compared on equal seeds, but {speedups[0].baseline} has none in common with {names}. "
            "Train both on the same seeds."
        )
