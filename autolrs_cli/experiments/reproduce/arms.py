"""What is run for the paper's table: its claims, and a row for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from autolrs_cli.experiments.reproduce.lengths import FULL, SHARES
from autolrs_cli.experiments.seeds import CALIBRATION_FIRST
from autolrs_cli.experiments.tune.brackets import TuningPlan

# Training steps of the original schedule over those of AutoLRS, to the same quality: Jin et al., ICLR 2021, abstract.
CLAIMS = {"resnet50": 1.22, "transformer": 1.43, "bert": 1.5}
FEWEST_CALIBRATION_SEEDS = 3
ALL: Final = None
EACH: Final = "each"


@dataclass(frozen=True)
class Base:
    """What the arms of one recipe have in common."""

    recipe: str
    scale: str
    max_steps: int
    """The budget: kept steps of a run at length 1."""
    search_steps: int
    """Steps that AutoLRS as published discards in such a run."""
    lean_steps: int
    """Steps that the lean search discards in one at most."""
    interval: tuple[float, float]
    """Lowest and highest LR of the search."""
    original_decays: bool
    tuning: TuningPlan
    """Of each rival."""
    optimizer: str
    """The recipe's own, by the name of its option."""


@dataclass(frozen=True)
class Arm:
    """One arm, the same for every recipe."""

    title: str
    schedule: str
    average: str = "none"
    """Which weights are read out: those of training, or their mean."""
    more: tuple[str, ...] = ()
    """Further overrides; {low} and {high} in them are the ends of a search interval 10 times as wide, {schedulefree} is
    the schedule-free optimizer that is nearest to the recipe's own."""
    seeds: int | None = 3
    """At most so many of the reporting seeds; ALL, where the comparison is to decide something."""
    lengths: Literal["full", "each"] = "full"
    """`each`: it decays over the run, or its cycles fill it, so that each length is a run of its own."""
    tuned: bool = False
    """Whether a study finds its settings first."""
    space: tuple[str, ...] = ()
    """Overrides for that study alone; {free_high} bounds a schedule-free peak, over the original's."""
    full_only: bool = False
    """Whether it is run at full length alone, whatever decays."""

    @property
    def searched(self) -> bool:
        """Whether its runs discard steps to choose LRs."""
        return self.schedule in ("autolrs", "random")

    def search_steps(self, base: Base) -> int:
        """Return the steps that each of its runs discards at most."""
        if not self.searched:
            return 0
        return base.lean_steps if LEAN in self.more else base.search_steps

    def lengths_at_most(self, base: Base) -> tuple[float, ...]:
        """Return every length, as a share of the budget, that may be run."""
        each = base.original_decays if self.schedule == "original" else self.lengths == "each"
        return SHARES if each and not self.full_only else (FULL,)

    def overrides(self, base: Base, tuned_as: str | None = None) -> tuple[str, ...]:
        """Return what sets it apart, as overrides of `autolrs train`.

        Args:
            base: the recipe.
            tuned_as: what to write after `schedule=` for what its study found; None: the schedule itself.
        """
        average = () if self.average == "none" else (f"average={self.average}",)
        return (f"schedule={tuned_as or self.schedule}", *average, *self.settings(base))

    def settings(self, base: Base) -> tuple[str, ...]:
        """Return the further overrides, as they are for a recipe."""
        return _filled(self.more, base)

    def study_settings(self, base: Base) -> tuple[str, ...]:
        """Return the further overrides of its study."""
        return _filled((*self.more, *self.space), base)


def _filled(templates: Sequence[str], base: Base) -> tuple[str, ...]:
    low, high = base.interval[0] / WIDER, base.interval[1] * WIDER
    # LRs are 10 to 50 times those of SGD with momentum, 1 to 10 times those of AdamW, says the package schedulefree.
    free, free_high = ("schedulefree_sgd", 50) if base.optimizer == "sgd" else ("schedulefree_adamw", 10)
    facts = {"low": f"{low:.6g}", "high": f"{high:.6g}", "schedulefree": free, "free_high": free_high}
    return tuple(each.format(**facts) for each in templates)


# How many times wider the search interval is at both ends in one of the ablations (method rule 10).
WIDER = 10.0
ORIGINAL, AUTOLRS, REPLAY = "original", "autolrs", "replay of another seed"
LEAN_SEARCH, AVERAGED = "lean search", "original + averaged weights"
ANYTIME = "inverse_square_root_anytime"
PAPER, NO_FORECAST, LEAN = "search=paper", "search=last_losses", "search=lean"
NO_HORIZON = ("search.decay=0.0", "search.drift=0.0", "search.drift_std=0.0")
FREE, FAR = "optimizer={schedulefree}", "tune.space.peak_lr.high={free_high}"
WIDE = ("search.lr_min={low}", "search.lr_max={high}")
WIDE_RAMP = ("search.lr_min=1e-7", "search.lr_max=100.0")  # of lean's own, which is the same for every recipe

# fmt: off
ARMS = (
    #   title                                schedule    read out  more            seeds      lengths
    Arm(ORIGINAL,                            "original",                           seeds=ALL),
    Arm(AUTOLRS,                             "autolrs",  "none",   (PAPER,),       seeds=ALL),
    Arm(LEAN_SEARCH,                         "autolrs",  "ema",    (LEAN,),        seeds=ALL),
    Arm(AVERAGED,                            "original", "ema",                    seeds=ALL),
    Arm("tuned constant + averaged weights", "constant", "ema",                    seeds=ALL, tuned=True),
    Arm("tuned linear + averaged weights",   "linear",   "ema",                    seeds=ALL, lengths=EACH, tuned=True),
    Arm("tuned WSD + averaged weights",      "wsd",      "ema",                    seeds=ALL, lengths=EACH, tuned=True),
    Arm("tuned anytime + averaged weights",  ANYTIME,    "ema",                    seeds=ALL, tuned=True),
    Arm("tuned schedule-free",               "constant", "none",   (FREE,),        seeds=ALL, tuned=True, space=(FAR,)),
    Arm("tuned clr",                         "clr",                                lengths=EACH, tuned=True),
    Arm("tuned sgdr",                        "sgdr",                               lengths=EACH, tuned=True),
    Arm("tuned cosine",                      "cosine",                             lengths=EACH, tuned=True),
    Arm("tuned cosine + averaged weights",   "cosine",   "ema",                    lengths=EACH, tuned=True),
    Arm("tuned constant",                    "constant",                           tuned=True),
    Arm("tuned GreedyLR",                    "greedy",                             tuned=True),
    Arm("random LRs at AutoLRS's cost",      "random",   "none",   (PAPER,)),
    Arm("AutoLRS without its forecast",      "autolrs",  "none",   (NO_FORECAST,)),
    Arm(f"AutoLRS, interval {WIDER:g}x wider", "autolrs", "none",  (PAPER, *WIDE)),
    Arm("lean search, level only",           "autolrs",  "ema",    (LEAN, "search.checks=[]")),
    Arm("lean search, random choices",       "autolrs",  "ema",    (LEAN, "search.choice=random")),
    Arm("lean search, raw scores",           "autolrs",  "ema",    (LEAN, "search.weights=raw")),
    Arm("lean search, no horizon rule",      "autolrs",  "ema",    (LEAN, *NO_HORIZON)),
    Arm("lean search, winner discarded",     "autolrs",  "ema",    (LEAN, "search.keep_winner=false")),
    Arm(f"lean search, interval {WIDER:g}x wider", "autolrs", "ema", (LEAN, *WIDE_RAMP)),
)
# fmt: on
REPLAY_ARM = Arm(REPLAY, "replay")
"""The LRs that AutoLRS found on one seed, without the search, on another; it needs runs of AutoLRS first."""
TUNED_RIVALS = ("tuned clr", "tuned sgdr")
"""Those that the paper compares with."""
STUDIES = tuple(arm for arm in ARMS if arm.tuned)
DUELS = {
    LEAN_SEARCH: (
        AVERAGED,
        *(arm.title for arm in STUDIES if arm.average != "none" or FREE in arm.more),
        *(arm.title for arm in ARMS if LEAN in arm.more and arm.title != LEAN_SEARCH),
    ),
    AUTOLRS: (
        *(arm.title for arm in ARMS if arm.searched and LEAN not in arm.more and arm.title != AUTOLRS),
        REPLAY,
    ),
}
"""Our searches -> what each is held against on its own: rivals that are read out likewise, and its ablations."""


def seeds_of(arm: Arm, reporting: Sequence[int]) -> tuple[int, ...]:
    """Return the reporting seeds that an arm is run on."""
    return tuple(reporting[: arm.seeds])


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
