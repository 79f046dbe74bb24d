"""The YAML of this part of the tree builds the objects it names, with no key missing and none left over."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.runner.optimizer_factory import optimizer_factory

TREE = Path(str(files("autolrs_configs")))
PARTS = sorted([*TREE.glob("data/*.yaml"), *TREE.glob("model/*.yaml"), *TREE.glob("optimizer/*.yaml")])

LIBRARIES = {
    "prodigy": ["prodigyopt"],
    "schedulefree_adamw": ["schedulefree"],
    "schedulefree_sgd": ["schedulefree"],
}


def config(name: str):
    return OmegaConf.load(TREE / f"{name}.yaml")


@pytest.mark.parametrize("path", PARTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_part_is_built(path):
    tree = OmegaConf.load(path)
    for library in LIBRARIES.get(path.stem, ()):
        pytest.importorskip(library)
    if path.parent.name == "optimizer":
        optimizer_factory(OmegaConf.to_container(tree.get("optimizer", tree)))
        return
    part = instantiate(tree, _convert_="all")
    # Data that a person must bring lack nothing but that.
    missing = [
        key for key, value in tree.items() if value is None and "# must be given" in line_of(path, str(key))
    ]
    assert bool(part.problems()) == bool(missing)
    assert all(any(f"data.{key}" in problem for key in missing) for problem in part.problems())


def line_of(path: Path, key: str) -> str:
    return next(line for line in path.read_text().splitlines() if line.startswith(f"{key}:"))


@pytest.mark.parametrize("model", ["resnet50", "thin_resnet"])
def test_recipe_is_built_from_its_parts(model):
    tree = config("recipe/resnet50")
    tree.data, tree.model = config("data/digits"), config(f"model/{model}")
    recipe = instantiate(tree.recipe)
    assert recipe.problems() == []
    assert recipe.name == "resnet50"
    groups = recipe.parameter_groups(recipe.model())
    assert all(isinstance(group, ParameterGroup) for group in groups)
    optimizer = optimizer_factory(OmegaConf.to_container(config("optimizer/sgd")))(groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 0.0]


def test_image_folder_without_a_root_says_so():
    (problem,) = instantiate(config("data/image_folder")).problems()
    assert "data.root" in problem


def test_published_numbers():
    tree = config("recipe/resnet50")
    assert tree.original_schedule.peak_lr == pytest.approx(0.1 * tree.recipe.global_batch / 256)
    assert [round(90 * share) for share in tree.original_schedule.milestones] == [30, 60, 80]
    assert tree.original_schedule.warmup_steps == 5 * (1_281_167 // tree.recipe.global_batch)
