"""Settings of the published search. Default values live in `configs/search/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from autolrs_cli.settings import Section, parse
from autolrs_cli.values import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    ProperFraction,
)

Questions = Literal["surrogate", "random"]
Prediction = Literal["exponential", "last_losses"]


class CleanUp(Section):
    """How noise and outliers are taken out of a loss series before it is extrapolated, [Jin2021]_.

    Each round takes the losses farthest from a smoothing spline and drops those that lie early in the series.
    """

    rounds: NonNegativeInt
    share: Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
    """Part of the remaining losses that a round takes; rounds to the nearest number, also to none."""
    min_points: NonNegativeInt
    """Losses that a round takes even if `share` of them rounds to fewer."""
    droppable: Fraction
    """Only losses in this first part of the series may be dropped."""
    spline_degree: Annotated[int, Field(strict=True, ge=1, le=5)]
    smoothing: NonNegativeFloat
    """Mean squared distance that the spline may keep from the losses, in loss units squared."""


# The published numbers, for calling `forecast` by hand; a test holds them equal to configs/search/paper.yaml.
TRAIN_CLEAN_UP = CleanUp(
    rounds=10, share=0.03, min_points=0, droppable=0.5, spline_degree=2, smoothing=1.0
)  # fmt: skip
CHOOSE_CLEAN_UP = CleanUp(
    rounds=1, share=0.0, min_points=1, droppable=0.5, spline_degree=2, smoothing=1.0
)  # fmt: skip


class SearchSettings(Section):
    """Everything that decides the LR of a stage, beside the losses told and the seed."""

    lr_min: PositiveFloat
    lr_max: PositiveFloat
    num_trials: Annotated[int, Field(strict=True, ge=2)]
    num_random_trials: PositiveInt
    """Trials at the start of a stage whose LR is drawn, not asked of the surrogate."""
    kappa: NonNegativeFloat
    """Weight of the surrogate's standard deviation in the lower confidence bound; large = space filling."""
    failed_lr_cap_factor: ProperFraction
    """After a failed trial, the rest of the stage searches below `failed LR * this`."""
    max_loss_ratio: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)]
    """A trial failed if its last losses lie above this many times the untrained model's loss."""
    tail_fraction: PositiveFraction
    """The part of a trial that counts as its last losses."""
    # Fewer losses than this cannot be extrapolated.
    validation_points: Annotated[int, Field(strict=True, ge=4)]
    """Validation losses per trial, in stages that are judged by them."""
    questions: Questions
    """`surrogate`: as published; `random`: every LR is drawn evenly on the log scale (an ablation)."""
    prediction: Prediction
    """`exponential`: the published forecast; `last_losses`: the mean of the last losses (an ablation)."""
    last_share: PositiveFraction
    """Part of a trial's losses that `last_losses` takes the mean of."""
    clean_up_train: CleanUp
    clean_up_choose: CleanUp

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Build the settings from the `search` config group, or from a stored state; other keys are passed over.

        Raises:
            ConfigError: with every value that is missing or wrong.
        """
        own = {name: value for name, value in values.items() if name in SearchSettings.model_fields}
        found: SearchSettings = parse(SearchSettings, own, "search")
        return found

    def crossed(self) -> list[str]:
        """Return every rule across settings that is broken, each with its keys and the way out."""
        found = []
        if not self.lr_min < self.lr_max:
            found.append(
                f"`lr_min < lr_max` must hold, but got search.lr_min={self.lr_min}, search.lr_max={self.lr_max}. "
                "Set search.lr_min."
            )
        if self.num_random_trials > self.num_trials:
            found.append(
                "`num_random_trials <= num_trials` must hold, but got search.num_random_trials="
                f"{self.num_random_trials}, search.num_trials={self.num_trials}. Set search.num_random_trials."
            )
        return found

    def held_out_steps(self, trial_steps: int) -> tuple[int, ...]:
        """Return the steps of a trial at which its held-out loss is taken, where it is judged by that."""
        every = max(1, trial_steps // self.validation_points)
        return tuple(range(every, trial_steps + 1, every))


class StageBudget(Section):
    """How many steps the search may use, and how a run is cut into stages."""

    initial_stage_steps: PositiveInt
    max_stage_steps: PositiveInt
    trial_fraction: PositiveFraction
    """Length of a trial as a share of its stage."""
    max_rollbacks: NonNegativeInt
    """How often a stage whose training diverges is searched again, before the run fails."""
    objective: Literal["published", "train", "choose"]
    """Which loss a trial is judged by; `published`: training loss, then held-out loss after the first longest stage."""
