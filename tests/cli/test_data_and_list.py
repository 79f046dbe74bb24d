"""`autolrs data` and `autolrs list`, as a person runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import USER
from processes import COMMAND, autolrs, environment

import autolrs_configs
from autolrs_cli.commands.listing import GROUPS

IN_LOWER_CASE = ("torchvision's", "transformers'")
"""Names of libraries that a sentence may begin with."""
RECIPES = sorted(path.stem for path in (Path(autolrs_configs.__path__[0]) / "recipe").glob("*.yaml"))


class TestData:
    def test_check_shows_what_a_batch_holds(self, tmp_path: Path) -> None:
        done = autolrs("data", "check", "recipe=resnet50", "scale=tiny", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1,797 images" in done.stdout
        assert "images [16, 3, 16, 16]" in done.stdout
        assert "choose (chooses LRs)" in done.stdout
        assert list(tmp_path.iterdir()) == []

    def test_problems_come_all_at_once(self, tmp_path: Path) -> None:
        done = autolrs(
            "data", "check", "recipe=resnet50", "data=image_folder", "recipe.eval_batch=0", cwd=tmp_path
        )
        assert done.returncode == 2
        assert "data.root" in done.stderr
        assert "recipe.eval_batch" in done.stderr
        assert "Traceback" not in done.stderr

    def test_without_a_recipe_they_are_listed(self, tmp_path: Path) -> None:
        done = autolrs("data", "prepare", cwd=tmp_path)
        assert done.returncode == 2
        assert all(recipe in done.stderr for recipe in RECIPES)

    @pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "resnet50"])
    def test_preparing_shows_its_work_once(self, tmp_path: Path, recipe: str) -> None:
        command = ("data", "prepare", f"recipe={recipe}", "scale=tiny")
        first = autolrs(*command, cwd=tmp_path, AUTOLRS_CACHE_DIR=str(tmp_path / "cache"))
        again = autolrs(*command, cwd=tmp_path, AUTOLRS_CACHE_DIR=str(tmp_path / "cache"))
        assert (first.returncode, first.stderr, again.returncode) == (0, "", 0)
        assert " ...\n" in first.stdout
        assert " ...\n" not in again.stdout
        assert "ready" in again.stdout


class TestList:
    def test_every_recipe_with_data_target_and_cost(self, tmp_path: Path) -> None:
        done = autolrs("list", cwd=tmp_path, COLUMNS="120")
        assert (done.returncode, done.stderr) == (0, "")
        for recipe in RECIPES:
            block = done.stdout.partition(f"recipe={recipe} ")[2].partition("recipe=")[0]
            for scale in ("tiny", "demo", "bench", "gpu", "paper"):
                (line,) = [line for line in block.splitlines() if line.split()[:1] == [scale]]
                assert len(line.split()) > 5, line  # data, target, steps, and some words on the cost
        assert "search=code" in done.stdout

    def test_one_group(self, tmp_path: Path) -> None:
        said = autolrs("list", "data", cwd=tmp_path).stdout
        assert "data=digits" in said
        assert "search=" not in said
        assert autolrs("list", "nonsense", cwd=tmp_path).returncode == 2

    def test_a_persons_own_recipe(self, tmp_path: Path) -> None:
        assert "recipe=toy" in autolrs("list", "recipes", "--config-dir", str(USER), cwd=tmp_path).stdout
        assert autolrs("list", "--config-dir", "nowhere", cwd=tmp_path).returncode == 2

    def test_every_headline_is_a_whole_sentence(self) -> None:
        root = Path(autolrs_configs.__path__[0])
        for path in (path for group in GROUPS for path in sorted((root / group).glob("*.yaml"))):
            lines = path.read_text(encoding="utf-8").splitlines()
            first = next(line for line in lines if line.startswith("#") and "@package" not in line)
            headline = first.removeprefix("#").partition("   ")[0].strip()
            assert headline.endswith("."), f"{path}: {headline}"
            assert headline[0].isupper() or headline.split()[0] in IN_LOWER_CASE, f"{path}: {headline}"

    def test_into_a_pipe_that_closes(self, tmp_path: Path) -> None:
        command = f"{' '.join(COMMAND)} list | head -1"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
