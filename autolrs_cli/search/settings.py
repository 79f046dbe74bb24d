"""Settings of the search, checked all at once. Default values live in `configs/search/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from autolrs_cli.errors import ConfigError
from autolrs_cli.search.checks import Checks, is_number, is_positive, is_whole

Questions = Literal["surrogate", "random"]
Prediction = Literal["exponential", "last_losses"]


@dataclass(frozen=True)
class CleanUp:
    """How noise and outliers are taken out of a loss series before it is extrapolated, [Jin2021]_.

    Each round takes the losses farthest from a smoothing spline and drops those that lie early in the series.
    """

    rounds: int
    share: float
    """Part of the remaining losses that a round takes; rounds to the nearest number, also to none."""
    min_points: int
    """Losses that a round takes even if `share` of them rounds to fewer."""
    droppable: float
    """Only losses in this first part of the series may be dropped."""
    spline_degree: int
    smoothing: float
    """Mean squared distance that the spline may keep from the losses, in loss units squared."""

    def problems(self, key: str) -> list[str]:
        """Return every broken invariant; `key` is where these settings stand in the configuration."""
        checks = Checks(key, self)
        checks.require(is_whole(self.rounds, 0), "rounds >= 0 (whole)", "rounds")
        checks.require(is_number(self.share, 0) and self.share < 1, "0 <= share < 1", "share")
        checks.require(is_whole(self.min_points, 0), "min_points >= 0 (whole)", "min_points")
        checks.require(is_number(self.droppable, 0, 1), "0 <= droppable <= 1", "droppable")
        checks.require(is_whole(self.spline_degree, 1, 5), "1 <= spline_degree <= 5 (whole)", "spline_degree")
        checks.require(is_number(self.smoothing, 0), "smoothing >= 0 (finite)", "smoothing")
        return checks.problems


# The published numbers, for calling `forecast` by hand; a test holds them equal to configs/search/paper.yaml.
TRAIN_CLEAN_UP = CleanUp(
    rounds=10, share=0.03, min_points=0, droppable=0.5, spline_degree=2, smoothing=1.0
)  # fmt: skip
CHOOSE_CLEAN_UP = CleanUp(
    rounds=1, share=0.0, min_points=1, droppable=0.5, spline_degree=2, smoothing=1.0
)  # fmt: skip


@dataclass(frozen=True)
class SearchSettings:
    """Everything that decides the LR of a stage, beside the losses told and the seed."""

    lr_min: float
    lr_max: float
    num_trials: int
    num_random_trials: int
    """Trials at the start of a stage whose LR is drawn, not asked of the surrogate."""
    kappa: float
    """Weight of the surrogate's standard deviation in the lower confidence bound; large = space filling."""
    failed_lr_cap_factor: float
    """After a failed trial, the rest of the stage searches below `failed LR * this`."""
    max_loss_ratio: float
    """A trial failed if its last losses lie above this many times the untrained model's loss."""
    tail_fraction: float
    """The part of a trial that counts as its last losses."""
    validation_points: int
    """Validation losses per trial, in stages that are judged by them."""
    questions: Questions
    """`surrogate`: as published; `random`: every LR is drawn evenly on the log scale (an ablation)."""
    prediction: Prediction
    """`exponential`: the published forecast; `last_losses`: the mean of the last losses (an ablation)."""
    last_share: float
    """Part of a trial's losses that `last_losses` takes the mean of."""
    clean_up_train: CleanUp
    clean_up_choose: CleanUp

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Build the settings from the `search` config group, or from a stored state.

        Keys that belong to others (the name, the stage planner's budget) are passed over.

        Raises:
            ConfigError: keys are missing.
        """
        clean_ups = ("clean_up_train", "clean_up_choose")
        missing = _missing(cls, values, "search")
        for key in clean_ups:
            missing += _missing(CleanUp, values[key], f"search.{key}") if key in values else []
        if missing:
            raise ConfigError([f"`{key}` must be set, but is missing. Set {key}." for key in missing])
        own = {name: values[name] for name in _names(cls)}
        for key in clean_ups:
            own[key] = CleanUp(**{name: own[key][name] for name in _names(CleanUp)})
        return cls(**own)

    def problems(self) -> list[str]:
        """Return every broken invariant, each naming its key and the way out; empty when all hold."""
        checks = Checks("search", self)
        positive = checks.require(is_positive(self.lr_min), "lr_min > 0 (finite)", "lr_min")
        positive &= checks.require(is_positive(self.lr_max), "lr_max > 0 (finite)", "lr_max")
        checks.require(not positive or self.lr_min < self.lr_max, "lr_min < lr_max", "lr_min", "lr_max")
        enough = checks.require(is_whole(self.num_trials, 2), "num_trials >= 2 (whole)", "num_trials")
        checks.require(
            is_whole(self.num_random_trials, 1, self.num_trials if enough else float("inf")),
            "1 <= num_random_trials <= num_trials (whole)",
            "num_random_trials",
            "num_trials",
        )
        self._check_numbers(checks)
        checks.problems += self.clean_up_train.problems("search.clean_up_train")
        checks.problems += self.clean_up_choose.problems("search.clean_up_choose")
        return checks.problems

    def _check_numbers(self, checks: Checks) -> None:
        factor, ratio, fraction = self.failed_lr_cap_factor, self.max_loss_ratio, self.tail_fraction
        checks.require(is_number(self.kappa, 0), "kappa >= 0 (finite)", "kappa")
        checks.require(
            is_positive(factor) and factor < 1, "0 < failed_lr_cap_factor < 1", "failed_lr_cap_factor"
        )
        checks.require(is_number(ratio, 1) and ratio > 1, "max_loss_ratio > 1 (finite)", "max_loss_ratio")
        last = self.last_share
        checks.require(is_positive(last) and last <= 1, "0 < last_share <= 1", "last_share")
        for name, known in (("questions", Questions), ("prediction", Prediction)):
            options = get_args(known)
            checks.require(getattr(self, name) in options, f"{name} in {', '.join(options)}", name)
        checks.require(is_positive(fraction) and fraction <= 1, "0 < tail_fraction <= 1", "tail_fraction")
        # fewer losses than this cannot be extrapolated
        checks.require(
            is_whole(self.validation_points, 4), "validation_points >= 4 (whole)", "validation_points"
        )


def _names(cls: type[SearchSettings] | type[CleanUp]) -> list[str]:
    return [field.name for field in fields(cls)]


def _missing(cls: type[SearchSettings] | type[CleanUp], values: Mapping[str, Any], key: str) -> list[str]:
    return [f"{key}.{name}" for name in _names(cls) if name not in values]
