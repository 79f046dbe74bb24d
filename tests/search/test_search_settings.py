import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

import autolrs_configs
from autolrs_cli.errors import ConfigError
from autolrs_cli.search import CHOOSE_CLEAN_UP, TRAIN_CLEAN_UP, SearchSettings, StageSearch

FOLDER = Path(autolrs_configs.__file__).parent / "search"
OTHERS = {"name", "initial_stage_steps", "max_stage_steps", "trial_fraction", "max_rollbacks", "objective"}


def composed(path):
    values = yaml.safe_load(path.read_text())
    parents = [name for name in values.pop("defaults", []) if name != "_self_"]
    below = {}
    for parent in parents:
        below |= composed(FOLDER / f"{parent}.yaml")
    return below | values


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_search_config_is_whole_and_valid(path):
    values = composed(path)
    assert values["name"] == path.stem
    assert set(values) == OTHERS | set(SearchSettings.__dataclass_fields__)
    assert SearchSettings.from_mapping(values).problems() == []


def test_the_clean_up_for_calls_by_hand_is_the_published_one():
    values = SearchSettings.from_mapping(composed(FOLDER / "paper.yaml"))
    assert (values.clean_up_train, values.clean_up_choose) == (TRAIN_CLEAN_UP, CHOOSE_CLEAN_UP)


def test_the_message_names_the_invariant_the_values_and_the_key(settings):
    assert replace(settings, lr_min=0.1, lr_max=0.01).problems() == [
        "`lr_min < lr_max` must hold, but got search.lr_min=0.1, search.lr_max=0.01. Set search.lr_min."
    ]


def test_all_problems_come_at_once(settings):
    clean_up = replace(TRAIN_CLEAN_UP, rounds=-1, spline_degree=6)
    wrong = replace(
        settings, lr_min=-1.0, lr_max=math.nan, num_trials=1, num_random_trials=0, kappa=math.inf,
        failed_lr_cap_factor=1.0, max_loss_ratio=1.0, tail_fraction=0.0, validation_points=3, clean_up_train=clean_up,
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        StageSearch(wrong, stage_steps=10, trial_steps=20, seed=0)
    named = [problem.rsplit("Set ", 1)[1].rstrip(".") for problem in error.value.problems]
    assert named == [
        *("search." + key for key in ("lr_min", "lr_max", "num_trials", "num_random_trials", "kappa")),
        *("search." + key for key in ("failed_lr_cap_factor", "max_loss_ratio", "tail_fraction")),
        *("search." + key for key in ("validation_points", "clean_up_train.rounds")),
        *("search." + key for key in ("clean_up_train.spline_degree", "trial_fraction")),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"lr_min": "a"}, {"num_trials": 2.5}, {"num_trials": True}, {"num_random_trials": 11}, {"lr_min": 1.0}],
)
def test_a_wrong_value_is_one_problem(settings, changes):
    assert len(replace(settings, **changes).problems()) == 1


def test_missing_keys_are_all_named(settings):
    values = asdict(settings)
    del values["kappa"], values["clean_up_train"]["share"]
    with pytest.raises(ConfigError, match=r"(?s)search\.kappa.*search\.clean_up_train\.share"):
        SearchSettings.from_mapping(values)
