"""Which schedules decay to the end of the run: every one in the configuration tree is listed."""

from __future__ import annotations

from importlib.resources import files

import yaml

from autolrs_cli.schedules.lengths import decays

DECAYED = {"cosine", "linear", "one_cycle", "polynomial", "step", "wsd"}


def test_every_schedule_of_the_tree_is_on_the_right_side() -> None:
    folder = files("autolrs_configs") / "schedule"
    nodes = [yaml.safe_load(f.read_text()) for f in folder.iterdir() if f.name.endswith(".yaml")]
    found = {node["name"] for node in nodes if decays({"schedule": node, "original_schedule": {}})}
    assert found == DECAYED


def test_the_original_schedule_decays_if_the_recipes_own_does() -> None:
    for recipe, expected in (("resnet50", True), ("bert", True), ("transformer", False)):
        text = (files("autolrs_configs") / "recipe" / f"{recipe}.yaml").read_text()
        config = {
            "schedule": {"name": "original"},
            "original_schedule": yaml.safe_load(text)["original_schedule"],
        }
        assert decays(config) == expected
