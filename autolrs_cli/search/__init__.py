"""The search for the LR of one AutoLRS stage: ask for a trial, tell its losses, take the best.

It knows nothing of training, files or screens, and draws from no random stream but its own.
"""

from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.forecasting import forecast
from autolrs_cli.search.settings import CHOOSE_CLEAN_UP, TRAIN_CLEAN_UP, CleanUp, SearchSettings
from autolrs_cli.search.stage import StageSearch, Surrogate
from autolrs_cli.search.state import TrialRecord

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
]
