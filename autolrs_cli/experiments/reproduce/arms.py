"""What it takes to reproduce the paper's table: its claims, the arms, and the target, per recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autolrs_cli.experiments.seeds import CALIBRATION_FIRST
from autolrs_cli.experiments.tune.brackets import TuningPlan

# Training steps of the original schedule over those of AutoLRS, to the same quality: Jin et al., ICLR 2021, abstract.
CLAIMS = {"resnet50": 1.22, "transformer": 1.43, "bert": 1.5}
TUNED_RIVALS = ("tuned clr", "tuned sgdr")
# Decayed schedules are run at these shares of the budget, each fully decayed (method rule 5).
LENGTHS = (0.4, 0.6, 0.8, 1.0, 2.0)
# How many times wider the search interval is at both ends in one of the ablations (method rule 10).
WIDER = 10.0
# (schedule, averaging under which it is tuned)
STUDIES = (
    ("clr", "none"),
    ("sgdr", "none"),
    ("cosine", "none"),
    ("constant", "none"),
    ("constant", "ema"),
    ("cosine", "ema"),
    ("linear", "ema"),
    ("wsd", "ema"),
    ("inverse_square_root_anytime", "ema"),
    ("greedy", "none"),
)
FEWEST_CALIBRATION_SEEDS = 3
ORIGINAL, AUTOLRS, REPLAY = "original", "autolrs", "replay of another seed"


@dataclass(frozen=True)
class Base:
    """What the arms of one recipe have in common."""

    recipe: str
    scale: str
    max_steps: int
    """The budget: kept steps of a run at length 1."""
    search_steps: int
    """Steps that AutoLRS discards in such a run."""
    interval: tuple[float, float]
    """Lowest and highest LR of the search."""
    original_decays: bool
    tuning: TuningPlan
    """Of each rival."""


@dataclass(frozen=True)
class ArmPlan:
    """One arm of the reproduction, as overrides of `autolrs train`."""

    title: str
    overrides: tuple[str, ...]
    lengths: tuple[int, ...]
    """Kept steps of each of its runs on a seed, ascending."""
    search_steps: int = 0
    """Steps that each run discards."""

    @property
    def steps(self) -> int:
        """Optimizer steps on one seed."""
        return sum(self.lengths) + self.search_steps * len(self.lengths)


def arm_plans(base: Base, tuned_as: Mapping[tuple[str, str], str] | None = None) -> list[ArmPlan]:
    """Return every arm but the replay, which needs runs of AutoLRS first.

    Args:
        base: the recipe.
        tuned_as: schedule and averaging -> what to write after `schedule=` for what was found; None: the untuned
            schedule stands in, which costs the same.
    """
    once, decayed = (base.max_steps,), tuple(round(share * base.max_steps) for share in LENGTHS)

    def tuned(title: str, schedule: str, average: str, lengths: tuple[int, ...]) -> ArmPlan:
        option = f"schedule={schedule if tuned_as is None else tuned_as[schedule, average]}"
        overrides = (option,) if average == "none" else (option, f"average={average}")
        return ArmPlan(title, overrides, lengths)

    def searched(title: str, *overrides: str) -> ArmPlan:
        return ArmPlan(title, overrides, once, base.search_steps)

    low, high = base.interval
    wider = (f"search.lr_min={low / WIDER:.6g}", f"search.lr_max={high * WIDER:.6g}")
    return [
        ArmPlan(ORIGINAL, ("schedule=original",), decayed if base.original_decays else once),
        searched(AUTOLRS, "schedule=autolrs"),
        # Tuned, their cycles fill the run, and are made to fill each of its lengths.
        tuned("tuned clr", "clr", "none", decayed),
        tuned("tuned sgdr", "sgdr", "none", decayed),
        tuned("tuned cosine", "cosine", "none", decayed),
        tuned("tuned constant", "constant", "none", once),
        tuned("tuned constant + averaged weights", "constant", "ema", once),
        tuned("tuned cosine + averaged weights", "cosine", "ema", decayed),
        tuned("tuned linear + averaged weights", "linear", "ema", decayed),
        tuned("tuned WSD + averaged weights", "wsd", "ema", decayed),
        tuned("tuned anytime + averaged weights", "inverse_square_root_anytime", "ema", once),
        tuned("tuned GreedyLR", "greedy", "none", once),
        searched("random LRs at AutoLRS's cost", "schedule=random"),
        searched("AutoLRS without its forecast", "schedule=autolrs", "search=last_losses"),
        searched(f"AutoLRS, interval {WIDER:g}x wider", "schedule=autolrs", *wider),
    ]


def cost(base: Base, seeds: int, *, calibrated: bool = False) -> list[tuple[str, int, int]]:
    """Return what a recipe costs, in order: what is run, how many runs, how many optimizer steps (at most).

    Args:
        base: the recipe.
        seeds: how many are reported.
        calibrated: whether the target is known already.
    """
    calibration = 0 if calibrated else len(calibration_seeds(seeds))
    plan = base.tuning
    tuning = [(f"tuning {schedule} ({average})", plan.runs, plan.steps) for schedule, average in STUDIES]
    arms = [(arm.title, seeds * len(arm.lengths), seeds * arm.steps) for arm in arm_plans(base)]
    replays = [(REPLAY, seeds, seeds * base.max_steps)] if seeds > 1 else []
    first = [("calibration", calibration, calibration * base.max_steps)] if calibration else []
    return [*first, *tuning, *arms, *replays]


def replay_sources(seeds: Sequence[int]) -> dict[int, int]:
    """Return seed -> the seed whose schedule is replayed on it: the next one, and the first on the last.

    With one seed there is no other.
    """
    if len(seeds) < 2:
        return {}
    return {seed: seeds[(place + 1) % len(seeds)] for place, seed in enumerate(seeds)}


def calibration_seeds(reporting: int) -> list[int]:
    """Return as many seeds as are reported, three at least, none of them a reporting one."""
    count = max(FEWEST_CALIBRATION_SEEDS, reporting)
    return list(range(CALIBRATION_FIRST, CALIBRATION_FIRST + count))
