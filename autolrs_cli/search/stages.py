"""How a run is cut into searched stages, before anything is trained, as published [Jin2021]_."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autolrs_cli.contracts import LossKind, Phase, Segment
from autolrs_cli.search.settings import StageBudget

# Fewer loss points than this cannot carry an exponential with three parameters through noise.
MIN_TRIAL_STEPS = 20


def plan_stages(
    phases: Sequence[Phase], warmup_steps: int, budget: StageBudget, num_trials: int
) -> list[Segment]:
    """Return the searched stages of a run, which begin after its warm-up.

    Stage lengths start at `initial_stage_steps` and double up to `max_stage_steps`, anew in every phase. The last
    stage of a phase is cut to what is left; where its trials would then be too short to forecast from, it is
    merged into the stage before, so that a run never ends inside a search.
    """
    stages: list[Segment] = []
    first = 0
    for index, phase in enumerate(phases):
        skipped = warmup_steps if index == 0 else 0
        step = first + skipped
        for length, objective in _lengths(phase.steps - skipped, budget):
            steps = _trial_steps(length, budget)
            stages.append(Segment("stage", index, step, length, len(stages), steps, objective, num_trials))
            step += length
        first += phase.steps
    return stages


def stage_problems(stages: Sequence[Segment], phases: Sequence[Phase], warmup_steps: int) -> list[str]:
    """Return what is wrong with a plan, naming keys and the way out."""
    if warmup_steps >= phases[0].steps:
        return [
            f"The warm-up must end before its phase, but got schedule.warmup_steps={warmup_steps} of "
            f"{phases[0].steps} steps. Shorten schedule.warmup_steps or lengthen run.max_steps."
        ]
    short = [stage for stage in stages if stage.trial_steps < MIN_TRIAL_STEPS]
    if not short:
        return []
    worst = min(short, key=lambda s: s.trial_steps)
    number = (worst.stage or 0) + 1
    return [
        f"A trial must have {MIN_TRIAL_STEPS} steps or more, but stage {number} of {worst.steps} steps gives "
        f"trials of {worst.trial_steps}. Raise search.trial_fraction or search.initial_stage_steps, or lengthen "
        "run.max_steps."
    ]


def _trial_steps(stage_steps: int, budget: StageBudget) -> int:
    return round(stage_steps * budget.trial_fraction)


def _lengths(left: int, budget: StageBudget) -> Iterator[tuple[int, LossKind]]:
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


def _objective(budget: StageBudget, longest_before: int) -> LossKind:
    if budget.objective == "published":
        return "choose" if longest_before else "train"
    return budget.objective
