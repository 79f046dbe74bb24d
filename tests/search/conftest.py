import importlib.util
import sys
from pathlib import Path

import pytest

from autolrs_cli.search import CHOOSE_CLEAN_UP, TRAIN_CLEAN_UP, SearchSettings, StageSearch

ORACLES = Path(__file__).parents[1] / "oracles"
SETTINGS = SearchSettings(
    lr_min=1e-4,
    lr_max=1.0,
    num_trials=10,
    num_random_trials=3,
    kappa=2.0,
    failed_lr_cap_factor=0.5,
    max_loss_ratio=1.5,
    tail_fraction=0.1,
    validation_points=16,
    questions="surrogate",
    prediction="exponential",
    last_share=0.3,
    clean_up_train=TRAIN_CLEAN_UP,
    clean_up_choose=CHOOSE_CLEAN_UP,
)


@pytest.fixture(scope="session")
def oracle():
    spec = importlib.util.spec_from_file_location("forecast_oracle", ORACLES / "forecast_oracle.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def settings():
    return SETTINGS


@pytest.fixture
def make_search():
    def make(seed=0, **changes):
        settings = SearchSettings.from_mapping(SETTINGS.model_dump() | changes)
        return StageSearch(settings, stage_steps=1000, trial_steps=100, seed=seed)

    return make
