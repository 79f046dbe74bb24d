"""Every YAML file of the tree is found by globbing: it explains itself, composes, and passes the checks."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files
from pathlib import Path

import pytest
from harness import composed
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.target_allowlist import untrusted_targets
from autolrs_cli.search import PublishedSearch
from autolrs_cli.search.stages import MIN_TRIAL_STEPS

TREE = Path(str(files("autolrs_configs")))
FILES = sorted(path.relative_to(TREE).with_suffix("").as_posix() for path in TREE.rglob("*.yaml"))
# Groups that a recipe, a scale or another group chooses from, not a person.
INNER = re.compile(r"((size|data|model|pairing)/\w+|fit/\w+/\w+)/\w+$")


def options(group: str) -> list[str]:
    return [name.removeprefix(f"{group}/") for name in FILES if re.fullmatch(rf"{group}/\w+", name)]


RECIPES, SCALES = options("recipe"), options("scale")
OPTIONS = [name for name in FILES if "/" in name and not INNER.match(name) and not name.startswith("recipe/")]
FITS = [name for name in FILES if name.startswith("fit/")]
PUBLISHED = "autolrs_cli.search.PublishedSearch"
SEARCHED = list(itertools.product(RECIPES, SCALES, options("search")))
# Searched ones are planned above; a replay needs a run.
NEED_MORE = ("autolrs", "random", "replay")
# Every schedule with every recipe at one scale, and one schedule at every scale.
FIXED = [
    *((recipe, "bench", name) for recipe in RECIPES for name in options("schedule") if name not in NEED_MORE),
    *((recipe, scale, "original") for recipe in RECIPES for scale in SCALES if scale != "bench"),
]


def planned_but_for_data(*overrides: str) -> Plan | None:
    """Return the checked plan; None at scale=paper, whose data are not here, if nothing else is wrong."""
    if "scale=paper" not in overrides:
        return check(composed(*overrides))
    with pytest.raises(ConfigError) as caught:
        check(composed(*overrides))
    assert all(problem.startswith("`data.") for problem in caught.value.problems)
    return None


def test_the_tree_is_there() -> None:
    assert {"train", "recipe/resnet50", "search/paper", "search/code"} <= set(FILES)
    assert SCALES == ["bench", "demo", "gpu", "paper", "tiny"]


def header(name: str) -> list[str]:
    lines = (TREE / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    begin = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return [line for line in begin if "@package" not in line]


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_a_comment(name: str) -> None:
    assert header(name)


@pytest.mark.parametrize("name", FILES)
def test_the_comment_shows_a_command(name: str) -> None:
    assert re.search(r"autolrs \w+ \w+=", "\n".join(header(name)))


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_only_our_classes_and_torchs_optimizers(name: str) -> None:
    text = (TREE / f"{name}.yaml").read_text(encoding="utf-8")
    targets = re.findall(r"^\s*_target_:\s*(\S+)", text, re.MULTILINE)
    assert text.count("_target_") == len(targets)
    assert untrusted_targets({"of": [{"_target_": target} for target in targets]}, None) == []


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_can_be_chosen(name: str) -> None:
    group, _, option = name.rpartition("/")
    config = composed("recipe=resnet50", "scale=tiny", f"{group}={option}")
    own = OmegaConf.load(TREE / f"{name}.yaml")
    assert isinstance(own, DictConfig)
    if group == "launcher":  # no part of a run
        assert launcher_for({str(key): value for key, value in own.items()}) is not None
        return
    if "_target_" in own:
        assert config[group]["_target_"] == own["_target_"]
    elif "name" in own:
        assert config[group]["name"] == own["name"]


def test_every_file_is_reached_by_some_command() -> None:
    """No YAML lies around that no choice of recipe, scale, schedule, data and so on would read."""
    unread = set(FILES) - {"train", *OPTIONS}  # those are chosen above
    commands = [[f"recipe={recipe}", f"scale={scale}"] for recipe in RECIPES for scale in SCALES]
    commands += [
        [f"recipe={recipe}", f"optimizer={name}"] for recipe in RECIPES for name in options("optimizer")
    ]
    for name in FITS:
        _, recipe, data, scale = name.split("/")
        commands.append([f"recipe={recipe}", f"data={data}", f"scale={scale}"])
    for name in OPTIONS:
        group, _, option = name.rpartition("/")
        commands.append(["recipe=resnet50", f"{group}={option}"])
    with initialize_config_module("autolrs_configs", version_base="1.3"):
        while unread and commands:
            config = compose("train", commands.pop(0), return_hydra_config=True)
            unread -= {f"{g}/{o}" for g, o in config.hydra.runtime.choices.items() if o is not None}
    assert unread == set()


@pytest.mark.parametrize(("recipe", "scale", "search"), SEARCHED)
def test_a_searched_run_is_planned(recipe: str, scale: str, search: str) -> None:
    plan = planned_but_for_data(f"recipe={recipe}", f"scale={scale}", f"search={search}")
    if plan is None:
        return
    stages = [segment for segment in plan.segments if segment.kind == "stage"]
    assert plan.search is not None
    if scale == "bench":
        assert plan.settings.run.max_steps >= 2000
    if not isinstance(plan.search, PublishedSearch):
        return  # another policy need not know its stages beforehand
    assert min(stage.trial_steps for stage in stages) >= MIN_TRIAL_STEPS
    assert sum(segment.steps for segment in plan.segments) == plan.settings.run.max_steps
    if scale == "demo":
        assert len(stages) >= 3


@pytest.mark.parametrize(("recipe", "scale", "schedule"), FIXED)
def test_a_fixed_schedule_is_planned(recipe: str, scale: str, schedule: str) -> None:
    plan = planned_but_for_data(f"recipe={recipe}", f"scale={scale}", f"schedule={schedule}")
    if plan is not None:
        assert plan.search is None
        assert [segment.kind for segment in plan.segments] == ["schedule"] * len(plan.phases)


@pytest.mark.parametrize("data", ["cifar10", "cifar100", "fashion_mnist"])
def test_small_images_at_scale_gpu(data: str, tmp_path: Path) -> None:
    """They stay as small as they are, in a network that keeps their resolution, and are searched as published."""
    given = [f"data.root={tmp_path}"] if data == "fashion_mnist" else []
    config = composed("recipe=resnet50", f"data={data}", "scale=gpu", "search=paper", *given)
    assert (config["data"]["image_size"], config["model"]["stem"]) == (28 if given else 32, "cifar")
    assert (config["data"]["pad_pixels"], config["data"]["flip"]) == (2 if given else 4, True)
    assert (config["recipe"]["global_batch"], config["runtime"]["precision"]) == (256, "bf16")
    if given:
        with pytest.raises(ConfigError, match="four idx files"):
            check(config)
        return
    stages = [segment for segment in check(config).segments if segment.kind == "stage"]
    assert [stage.steps for stage in stages] == [1000, *[2000] * 6]
    assert [stage.trial_steps for stage in stages] == [100, *[200] * 6]
    # Another size is the person's to choose.
    assert (
        composed("recipe=resnet50", f"data={data}", "scale=gpu", "data.image_size=64")["data"]["image_size"]
        == 64
    )
    # Another model is not asked for a stem that it does not have.
    assert (
        "stem" not in composed("recipe=resnet50", f"data={data}", "scale=gpu", "model=thin_resnet")["model"]
    )
    # Elsewhere the scale decides.
    assert composed("recipe=resnet50", f"data={data}", "scale=tiny")["data"]["image_size"] == 16


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_published_experiment_lacks_only_its_data(recipe: str, tmp_path: Path) -> None:
    # Wherever it lies: image data take a folder, text data the name of one.
    given = ["", *(f"data.{key}={tmp_path / 'nowhere'}" for key in ("root", "name", "wikipedia"))]
    for override in given:
        key = override.partition("=")[0].removeprefix("data.")
        config = composed(f"recipe={recipe}", "scale=paper")
        if key and key not in config["data"]:
            continue
        with pytest.raises(ConfigError) as caught:
            check(composed(f"recipe={recipe}", "scale=paper", *filter(None, [override])))
        assert caught.value.problems
        assert all(problem.startswith("`data.") for problem in caught.value.problems)


@pytest.mark.parametrize(("recipe", "search"), list(itertools.product(RECIPES, options("search"))))
def test_the_published_trials_are_long_enough(recipe: str, search: str) -> None:
    """At scale=paper the plan cannot be made without data, so count by hand: a tenth of a stage of 1,000."""
    config = composed(f"recipe={recipe}", "scale=paper", f"search={search}")["search"]
    if config["_target_"] != PUBLISHED:
        return
    assert config["initial_stage_steps"] * config["trial_fraction"] >= MIN_TRIAL_STEPS


def test_the_command_line_has_the_last_word() -> None:
    config = composed(
        "recipe=resnet50", "scale=demo", "data=image_folder", "run.max_steps=7", "data.image_size=9"
    )
    assert config["data"]["_target_"].endswith("ImageFolder")
    assert (config["run"]["max_steps"], config["data"]["image_size"]) == (7, 9)
