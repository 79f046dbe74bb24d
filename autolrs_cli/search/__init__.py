"""Searches for LRs, the published one and ours (`lean`): ask for a trial, tell its losses, choose an LR.

It knows nothing of training, files or screens, and draws from no random stream but its own.
"""

import warnings

from autolrs_cli.search.ask_tell import (
    Choice,
    Curve,
    Failure,
    Forecast,
    Stop,
    Stopped,
    Trial,
    TrialRecord,
)
from autolrs_cli.search.delegating import DelegatingPolicy
from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.forecasting import forecast
from autolrs_cli.search.lean import LeanSearch
from autolrs_cli.search.policy import (
    RandomControl,
    RunOutline,
    Search,
    SearchEffort,
    SearchPolicy,
    Surrogate,
)
from autolrs_cli.search.published import PublishedSearch
from autolrs_cli.search.settings import (
    CHOOSE_CLEAN_UP,
    TRAIN_CLEAN_UP,
    CleanUp,
    SearchSettings,
    StageBudget,
)
from autolrs_cli.search.stage_search import StageSearch

__all__ = [
    "CHOOSE_CLEAN_UP",
    "TRAIN_CLEAN_UP",
    "Choice",
    "CleanUp",
    "Curve",
    "DelegatingPolicy",
    "Failure",
    "FailureRule",
    "Forecast",
    "LeanSearch",
    "PublishedSearch",
    "RandomControl",
    "RunOutline",
    "Search",
    "SearchEffort",
    "SearchPolicy",
    "SearchSettings",
    "StageBudget",
    "StageSearch",
    "Stop",
    "Stopped",
    "Surrogate",
    "Trial",
    "TrialRecord",
    "forecast",
    "preload",
]


def preload() -> None:
    """Import BoTorch now, so that start-up pays for it and not the first question of a search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from autolrs_cli.search import gp  # noqa: F401
