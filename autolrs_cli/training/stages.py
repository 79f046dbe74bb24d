"""How a run is cut into a warm-up and searched stages, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autolrs_cli.contracts import LossKind, Phase
from autolrs_cli.settings import BudgetSettings

# Fewer loss points than this cannot carry an exponential with three parameters through noise.
MIN_TRIAL_STEPS = 20


@dataclass(frozen=True)
class Segment:
    """Consecutive kept steps of one phase that follow a rule: a warm-up, a schedule, or one searched stage."""

    kind: Literal["warm_up", "schedule", "stage"]
    phase: int
    first_step: int
    """Kept step of the run, 0-based."""
    steps: int
    stage: int | None = None
    """0-based over the whole run."""
    trial_steps: int = 0
    objective: LossKind = "train"


def plan_schedule(phases: Sequence[Phase]) -> list[Segment]:
    """Return one segment per phase, for a schedule that is not searched."""
    firsts = _first_steps(phases)
    return [Segment("schedule", i, firsts[i], phase.steps) for i, phase in enumerate(phases)]


def plan_search(phases: Sequence[Phase], warmup_steps: int, budget: BudgetSettings) -> list[Segment]:
    """Return the warm-up and the searched stages.

    Stage lengths start at `initial_stage_steps` and double up to `max_stage_steps`, anew in every phase. The last
    stage of a phase is cut to what is left; where its trials would then be too short to forecast from, it is
    merged into the stage before, so that a run never ends inside a search.
    """
    segments: list[Segment] = []
    if warmup_steps:
        segments.append(Segment("warm_up", 0, 0, warmup_steps))
    stage = 0
    for index, (phase, first) in enumerate(zip(phases, _first_steps(phases), strict=True)):
        skipped = warmup_steps if index == 0 else 0
        step = first + skipped
        for length, objective in _lengths(phase.steps - skipped, budget):
            trial_steps = _trial_steps(length, budget)
            segments.append(Segment("stage", index, step, length, stage, trial_steps, objective))
            step += length
            stage += 1
    return segments


def plan_problems(segments: Sequence[Segment], phases: Sequence[Phase], warmup_steps: int) -> list[str]:
    """Return what is wrong with a plan, naming keys and the way out."""
    if warmup_steps >= phases[0].steps:
        return [
            f"The warm-up must end before its phase, but got schedule.warmup_steps={warmup_steps} of "
            f"{phases[0].steps} steps. Shorten schedule.warmup_steps or lengthen run.max_steps."
        ]
    short = [s for s in segments if s.kind == "stage" and s.trial_steps < MIN_TRIAL_STEPS]
    if not short:
        return []
    worst = min(short, key=lambda s: s.trial_steps)
    number = (worst.stage or 0) + 1
    return [
        f"A trial must have {MIN_TRIAL_STEPS} steps or more, but stage {number} of {worst.steps} steps gives "
        f"trials of {worst.trial_steps}. Raise search.trial_fraction or search.initial_stage_steps, or lengthen "
        "run.max_steps."
    ]


def _first_steps(phases: Sequence[Phase]) -> list[int]:
    return [sum(p.steps for p in phases[:i]) for i in range(len(phases))]


def _trial_steps(stage_steps: int, budget: BudgetSettings) -> int:
    return round(stage_steps * budget.trial_fraction)


def _lengths(left: int, budget: BudgetSettings) -> Iterator[tuple[int, LossKind]]:
    nominal = budget.initial_stage_steps
    longest_before = 0
    while left > 0:
        length = min(nominal, left)
        if _trial_steps(left - length, budget) < MIN_TRIAL_STEPS:
            length = left
        yield length, _objective(budget, longest_before)
        left -= length
        longest_before += nominal == budget.max_stage_steps
        nominal = min(2 * nominal, budget.max_stage_steps)


def _objective(budget: BudgetSettings, longest_before: int) -> LossKind:
    if budget.objective == "published":
        return "choose" if longest_before else "train"
    return budget.objective
