"""The example in docs/own-recipe.md, as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from documented import written_files
from processes import autolrs

DOC = Path(__file__).parents[2] / "docs" / "own-recipe.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has who saved the files under the names given."""
    root = tmp_path_factory.mktemp("reader")
    assert written_files(root) == [
        "mine/cancer.py",
        "mine/recipe/cancer.yaml",
        "mine/optimizer/nadam.yaml",
        "mine/schedule/halving.yaml",
        "mine/halving.py",
    ]
    return root


def commands() -> list[list[str]]:
    block = re.search(r"```sh\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert block is not None
    return [line.split()[1:] for line in block.group(1).splitlines()]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_of_the_page_runs(folder: Path, command: list[str]) -> None:
    done = autolrs(*command, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cancer" in done.stdout


def test_its_optimizer_trains_and_is_trusted_afterwards(folder: Path) -> None:
    chosen = ("recipe=cancer", "optimizer=nadam", "schedule=original", "run.dir=nadam")
    done = autolrs("train", "--config-dir", "mine", *chosen, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "nadam" / "summary.json").read_text())["metrics"]["accuracy"] > 0.9
    assert "export` method" in autolrs("export", "nadam", "out", cwd=folder).stderr, (
        "its configuration is trusted"
    )


def test_its_schedule_trains(folder: Path) -> None:
    chosen = ("recipe=cancer", "schedule=halving", "run.dir=halving")
    done = autolrs("train", "--config-dir", "mine", *chosen, cwd=folder)
    assert done.returncode == 0, done.stderr
    lrs = [float(row.split(",")[3]) for row in (folder / "halving" / "schedule.csv").read_text().split()[1:]]
    assert lrs == [0.1 / 2**halvings for halvings in range(5)]


@pytest.mark.parametrize(("search", "stages"), [("lean", 2), ("paper", 3)])
def test_it_is_searched_and_learns(folder: Path, search: str, stages: int) -> None:
    chosen = ("recipe=cancer", f"search={search}", f"run.dir={search}")
    done = autolrs("train", "--config-dir", "mine", *chosen, cwd=folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / search / "summary.json").read_text())
    assert len(summary["chosen"]) == stages
    assert summary["metrics"]["accuracy"] > 0.9
    assert "export` method" in autolrs("export", search, "out", cwd=folder).stderr
