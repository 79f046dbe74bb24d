import math
from pathlib import Path

import pytest
from harness import composed

import autolrs_configs
from autolrs_cli.contracts import Phase
from autolrs_cli.errors import ConfigError
from autolrs_cli.search import (
    CHOOSE_CLEAN_UP,
    TRAIN_CLEAN_UP,
    PublishedSearch,
    RunOutline,
    SearchSettings,
    StageSearch,
)
from autolrs_cli.settings import parse

FOLDER = Path(autolrs_configs.__file__).parent / "search"
RUN = RunOutline([Phase("train", 31_000, 256)], warmup_steps=100, seed=0, averaged=False)


def values_of(name, *overrides):
    node = composed("recipe=resnet50", f"search={name}", "scale=paper", *overrides)["search"]
    assert node.pop("_target_") == "autolrs_cli.search.PublishedSearch"
    return node


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_search_config_is_whole_and_valid(name):
    node = composed("recipe=resnet50", f"search={name}", "scale=paper")["search"]
    assert node["name"] == name
    if node["_target_"] != "autolrs_cli.search.PublishedSearch":
        return  # another policy has settings of its own
    values = values_of(name)
    assert set(values) == set(PublishedSearch.model_fields)
    assert parse(PublishedSearch, values, "search").problems(RUN) == []


def test_the_clean_up_for_calls_by_hand_is_the_published_one():
    values = SearchSettings.from_mapping(values_of("paper"))
    assert (values.clean_up_train, values.clean_up_choose) == (TRAIN_CLEAN_UP, CHOOSE_CLEAN_UP)


def test_a_recipes_numbers_are_read_but_do_not_hold_against_those_of_a_search(settings):
    paper = ("recipe=resnet50", "scale=tiny", "search=paper")
    tiny = composed(*paper)
    assert tiny["search"]["num_random_trials"] == tiny["published_search"]["num_random_trials"] == 1
    assert tiny["search"]["lr_min"] == tiny["published_search"]["lr_min"]
    assert composed(*paper, "search.lr_min=0.03")["search"]["lr_min"] == 0.03
    assert composed("recipe=resnet50", "scale=demo", "search=code")["search"]["num_random_trials"] == 1


def test_the_message_names_the_invariant_the_values_and_the_key(make_search):
    with pytest.raises(ConfigError) as error:
        make_search(lr_min=0.1, lr_max=0.01)
    assert error.value.problems == (
        "`lr_min < lr_max` must hold, but got search.lr_min=0.1, search.lr_max=0.01. Set search.lr_min.",
    )


def test_all_problems_come_at_once(settings):
    wrong = settings.model_dump() | {
        "lr_min": -1.0,
        "lr_max": math.nan,
        "num_trials": 1,
        "num_random_trials": 0,
        "kappa": math.inf,
        "failed_lr_cap_factor": 1.0,
        "max_loss_ratio": 1.0,
        "tail_fraction": 0.0,
        "validation_points": 3,
        "clean_up_train": TRAIN_CLEAN_UP.model_dump() | {"rounds": -1, "spline_degree": 6},
    }
    with pytest.raises(ConfigError) as error:
        SearchSettings.from_mapping(wrong)
    named = [problem.rsplit("Set ", 1)[1].rstrip(".") for problem in error.value.problems]
    assert named == [
        *("search." + key for key in ("lr_min", "lr_max", "num_trials", "num_random_trials", "kappa")),
        *("search." + key for key in ("failed_lr_cap_factor", "max_loss_ratio", "tail_fraction")),
        *("search." + key for key in ("validation_points", "clean_up_train.rounds")),
        "search.clean_up_train.spline_degree",
    ]
    assert all(
        f"but got {name}=" in problem for name, problem in zip(named, error.value.problems, strict=True)
    )


@pytest.mark.parametrize("changes", [{"lr_min": "a"}, {"num_trials": 2.5}, {"num_trials": True}])
def test_a_wrong_value_is_one_problem(settings, changes):
    with pytest.raises(ConfigError) as error:
        SearchSettings.from_mapping(settings.model_dump() | changes)
    assert len(error.value.problems) == 1


@pytest.mark.parametrize("changes", [{"num_random_trials": 11}, {"lr_min": 1.0}])
def test_a_broken_rule_across_values_is_one_problem(make_search, changes):
    with pytest.raises(ConfigError) as error:
        make_search(**changes)
    assert len(error.value.problems) == 1


def test_a_trial_longer_than_its_stage_is_refused(settings):
    with pytest.raises(ConfigError, match="trial_steps <= stage_steps"):
        StageSearch(settings, stage_steps=10, trial_steps=20, seed=0)


def test_missing_keys_are_all_named(settings):
    values = settings.model_dump()
    del values["kappa"], values["clean_up_train"]["share"]
    with pytest.raises(ConfigError, match=r"(?s)search\.kappa.*search\.clean_up_train\.share"):
        SearchSettings.from_mapping(values)


def test_stages_that_begin_longer_than_they_may_be_are_refused():
    values = values_of("paper", "search.initial_stage_steps=9000")
    (problem,) = parse(PublishedSearch, values, "search").problems(RUN)
    assert "search.initial_stage_steps=9000, search.max_stage_steps=8000" in problem
