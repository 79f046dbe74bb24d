"""The search for the LR of one AutoLRS stage: ask for a trial, tell its losses, take the best.

It knows nothing of training, files or screens, and draws from no random stream but its own.
"""

import warnings

from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.forecasting import forecast
from autolrs_cli.search.settings import CHOOSE_CLEAN_UP, TRAIN_CLEAN_UP, CleanUp, SearchSettings
from autolrs_cli.search.stage_search import StageSearch, Surrogate
from autolrs_cli.search.trial_record import TrialRecord

__all__ = [
    "CHOOSE_CLEAN_UP",
    "TRAIN_CLEAN_UP",
    "CleanUp",
    "FailureRule",
    "SearchSettings",
    "StageSearch",
    "Surrogate",
    "TrialRecord",
    "forecast",
    "preload",
]


def preload() -> None:
    """Import BoTorch now, so that start-up pays for it and not the first question of a search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import autolrs_cli.search.gp  # noqa: F401
