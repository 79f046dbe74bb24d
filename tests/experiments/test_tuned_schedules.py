"""What `autolrs tune` keeps: nothing replaces it unasked, it says what it is for, and its command can be pasted."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import composed
from omegaconf import OmegaConf

from autolrs_cli.commands.train import _foreign_tuning
from autolrs_cli.compose.user_configs import TunedSchedule, path_of
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.tune.result import option_in, train_command, tuned_text
from autolrs_cli.runner.plan import check
from autolrs_cli.schedules.tuning import Tuning, purpose_of, tuning_in

SGDR = TunedSchedule("resnet50", "bench", "sgdr", "none", "sgd", "00fe31b6b4bc708e")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path))


def toy(*overrides: str) -> dict[str, Any]:
    return composed("recipe=toy", "schedule=cosine", *overrides)


def tuning(config: dict[str, Any], study: str = "5ca1ab1e", option: str = "tuned/toy/demo/x") -> Tuning:
    return Tuning(
        option=option,
        study=study,
        steps=400,
        seconds=12.5,
        runs=11,
        configurations=9,
        max_steps=config["run"]["max_steps"],
        purpose=purpose_of(config, "rings"),
        found={"peak_lr": 0.07},
    )


def keep(kept: TunedSchedule, study: str) -> str:
    option = kept.option(study)
    path_of(option).parent.mkdir(parents=True, exist_ok=True)
    text = tuned_text({"name": "cosine", "max_steps": "${run.max_steps}"}, tuning(toy(), study, option), [])
    path_of(option).write_text(text)
    return option


def test_optimizer_averaging_and_data_are_part_of_the_name() -> None:
    options = [
        replace(SGDR, **changes).option("one")
        for changes in ({}, {"optimizer": "adamw"}, {"average": "ema"}, {"data_fingerprint": "c0ffee00aa"})
    ]
    assert options == [
        "tuned/resnet50/bench/sgdr-sgd-00fe31b6",
        "tuned/resnet50/bench/sgdr-adamw-00fe31b6",
        "tuned/resnet50/bench/sgdr_ema-sgd-00fe31b6",
        "tuned/resnet50/bench/sgdr-sgd-c0ffee00",
    ]


def test_another_study_of_the_same_name_becomes_another_version_and_the_same_one_keeps_its_place() -> None:
    first, second = keep(SGDR, "one"), keep(SGDR, "two")
    assert second == f"{first}-v2"
    assert (SGDR.option("one"), SGDR.option("two"), SGDR.option("three")) == (first, second, f"{first}-v3")
    assert SGDR.versions() == [first, second]


@pytest.mark.parametrize("content", ["name: sgdr_tuned\npeak_lr: 0.1\n", "", "{", "- 1"])
def test_what_is_there_and_does_not_say_its_study_is_not_replaced(content: str) -> None:
    path = path_of("tuned/resnet50/bench/sgdr-sgd-00fe31b6")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert SGDR.option("one") == "tuned/resnet50/bench/sgdr-sgd-00fe31b6-v2"
    with pytest.raises(ConfigError, match="must have left a tuned schedule"):
        option_in(path)


def test_the_command_keeps_what_matters_in_a_run_and_a_shell_takes_it() -> None:
    given = [
        *("tune=cosine", "recipe=bert", "schedule=cosine", "scale=bench", "data=text_files"),
        *('data.files=["my corpus/*.txt"]', "optimizer=adamw", "optimizer.weight_decay=0.1", "average=ema"),
        *("schedule.final_lr=0.001", "tune.entrants=4", "search.num_trials=2", "seed=1001", "dashboard=none"),
        *("tracker=none", "search=paper", "run.max_steps=500", "~experiment"),
    ]
    command = train_command(["--config-dir", "/my folder"], given, "tuned/bert/bench/cosine_ema-adamw-x")
    assert shlex.split(command) == [
        *("autolrs", "train", "--config-dir", "/my folder", "recipe=bert", "scale=bench", "data=text_files"),
        *('data.files=["my corpus/*.txt"]', "optimizer=adamw", "optimizer.weight_decay=0.1", "average=ema"),
        *("search=paper", "run.max_steps=500", "~experiment", "schedule=tuned/bert/bench/cosine_ema-adamw-x"),
    ]


def test_the_file_is_a_schedule_with_what_was_found_and_what_that_took() -> None:
    option = keep(SGDR, "one")
    node = yaml.safe_load(path_of(option).read_text())
    assert (node["name"], node["peak_lr"], node["max_steps"]) == ("cosine_tuned", 0.07, "${run.max_steps}")
    found = tuning_in({"schedule": node, "original_schedule": {}})
    assert found is not None
    assert (found.option, found.study, found.steps, found.seconds) == (option, "one", 400, 12.5)
    assert option_in(path_of(option)) == option


def test_a_study_whose_name_looks_like_a_number_keeps_it() -> None:
    node = OmegaConf.load(path_of(keep(SGDR, "1e234567")))  # as Hydra reads it: infinity, unquoted
    assert node.tuning.study == "1e234567"


def with_tuning(config: dict[str, Any], found: Tuning) -> dict[str, Any]:
    schedule = {**config["schedule"], "name": "cosine_tuned", "peak_lr": 0.07, "tuning": found.model_dump()}
    return {**config, "schedule": schedule}


def test_a_run_with_it_trains_the_schedule_and_a_damaged_record_is_refused_in_words() -> None:
    config = with_tuning(toy(), tuning(toy()))
    assert check(config).schedule.lr(10) == pytest.approx(0.07)
    config["schedule"]["tuning"] = {**config["schedule"]["tuning"], "steps": -1, "extra": 1}
    with pytest.raises(ConfigError) as refused:
        check(config)
    assert sorted(refused.value.problems) == [
        "`schedule.tuning.extra` is not a setting. Remove schedule.tuning.extra.",
        "`schedule.tuning.steps` must be greater than 0, but got schedule.tuning.steps=-1. "
        "Set schedule.tuning.steps.",
    ]


@pytest.mark.parametrize(
    ("overrides", "purpose", "said"),
    [
        ((), {}, None),
        (("run.max_steps=60",), {}, None),
        ((), {"data_fingerprint": "0ther"}, "data (by fingerprint) rings instead of 0ther"),
        (("optimizer.momentum=0.5",), {}, "optimizer sgd momentum=0.5"),
        (("average=ema",), {}, "average ema instead of none"),
        (("recipe.global_batch=8",), {}, "batch global_batch=8 instead of global_batch=16"),
    ],
)
def test_training_anything_else_than_it_was_tuned_for_warns(
    overrides: tuple[str, ...], purpose: dict[str, Any], said: str | None
) -> None:
    found = tuning(toy())
    found = found.model_copy(update={"purpose": found.purpose.model_copy(update=purpose)})
    config = with_tuning(toy(*overrides), found)
    warnings = _foreign_tuning(check(config), config)
    assert [said in warning for warning in warnings] == ([] if said is None else [True]), warnings
