"""What it takes to reproduce the paper's table: its claims, the arms, and the target, per recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

import yaml

from autolrs_cli.contracts import Direction
from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.seeds import CALIBRATION_FIRST
from autolrs_cli.experiments.sweeping import quoted
from autolrs_cli.experiments.tuning_folder import TunedSchedule
from autolrs_cli.settings import TargetSettings

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
)
# As `autolrs tune` plans them for the budget of one search: 9 short, 3 longer, 1 long.
RUNS_OF_A_STUDY = 13
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


def arm_plans(base: Base) -> list[ArmPlan]:
    """Return every arm but the replay, which needs runs of AutoLRS first."""
    once, decayed = (base.max_steps,), tuple(round(share * base.max_steps) for share in LENGTHS)

    def tuned(title: str, schedule: str, average: str, lengths: tuple[int, ...]) -> ArmPlan:
        option = f"schedule={TunedSchedule(base.recipe, base.scale, schedule, average).option}"
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
    tuning = [(f"tuning {schedule} ({average})", 0, base.search_steps) for schedule, average in STUDIES]
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


@dataclass(frozen=True)
class CalibratedTarget:
    """A target fixed before any arm is run (method rule 3)."""

    metric: str
    value: float
    """The median final value of the original schedule, less the margin."""
    margin: float
    """The standard deviation of those values (ours): most runs of the original itself then reach the target."""
    seeds: tuple[int, ...]
    command: str
    data_fingerprint: str | None = None
    """Of the data that it was calibrated on."""

    @classmethod
    def of(
        cls,
        metric: str,
        direction: Direction,
        finals: Mapping[int, float],
        command: str,
        data_fingerprint: str | None = None,
    ) -> CalibratedTarget:
        """Return the target that the final values of the original schedule give.

        Args:
            metric: what was measured.
            direction: in which direction it is better.
            finals: seed -> final value.
            command: what calibrated it.
            data_fingerprint: of the data.

        Raises:
            ConfigError: if there are fewer than two.
        """
        if len(finals) < 2:
            raise ConfigError(
                f"A target needs two calibration runs or more that ended with a finite {metric}, but got "
                f"{len(finals)}. Look into the calibration runs, or set target in the recipe's YAML."
            )
        margin = stdev(finals.values())
        middle = median(finals.values())
        value = middle - margin if direction == "max" else middle + margin
        value, margin = round(value, 6), round(margin, 6)
        return cls(metric, value, margin, tuple(sorted(finals)), command, data_fingerprint)

    @classmethod
    def shipped(cls, settings: TargetSettings | None, data_fingerprint: str) -> CalibratedTarget | None:
        """Return the target in the recipe's YAML; None if there is none, or it was calibrated on other data."""
        if settings is None or not settings.fits(data_fingerprint):
            return None
        return cls(
            settings.metric,
            settings.value,
            settings.margin,
            settings.seeds,
            settings.command or "",
            settings.data_fingerprint,
        )

    def __str__(self) -> str:
        """The target, and where it comes from."""
        text = f"{self.metric} {self.value:.6g}"
        if not self.seeds:
            return f"{text} (given)"
        seeds = ", ".join(map(str, self.seeds))
        return (
            f"{text} (median final value of the original schedule over seeds {seeds}, less a margin of "
            f"{self.margin:.3g}; by {self.command})"
        )

    @property
    def override(self) -> str:
        """The override that gives it to a run."""
        seeds, data = ",".join(map(str, self.seeds)), self.data_fingerprint
        return (
            f"target={{metric:{self.metric},value:{self.value!r},margin:{self.margin!r},seeds:[{seeds}],"
            f"command:{quoted(self.command)},data_fingerprint:{'null' if data is None else repr(data)}}}"
        )

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.part")
        node: dict[str, Any] = {**asdict(self), "seeds": list(self.seeds)}
        aside.write_text(yaml.safe_dump({"target": node}, sort_keys=False), encoding="utf-8")
        publish(aside, path)

    @classmethod
    def read(cls, path: Path) -> CalibratedTarget | None:
        """Return what `write` kept; None if it is not there.

        Raises:
            ConfigError: if it is damaged.
        """
        try:
            node = yaml.safe_load(path.read_text(encoding="utf-8"))["target"]
            return cls(
                str(node["metric"]),
                float(node["value"]),
                float(node["margin"]),
                tuple(map(int, node["seeds"])),
                str(node["command"]),
                node.get("data_fingerprint"),
            )
        except FileNotFoundError:
            return None
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"A calibrated target must be whole, but {path} is not: {error}. Remove it to calibrate again."
            ) from error
