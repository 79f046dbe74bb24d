"""What an evening costs, as docs/reproducing.md has it, is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documented import ROOT
from rich.console import Console

from autolrs_cli.experiments.reproduce.cost import cost
from autolrs_cli.experiments.reproduce.jobs import RecipeJobs
from autolrs_cli.experiments.reproduce.presets import EVENING
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.sweep.stale import CurrentData

PAGE = (ROOT / "docs" / "reproducing.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)` \| ([\d,]+) \| ([\d.]+) at (\d+) steps/s \|$", PAGE, re.MULTILINE)
# Each composes three configurations: one by default, the others with -m slow.
SHOWN = [row if row[0] == "bert" else pytest.param(*row, marks=pytest.mark.slow) for row in ROWS]


def test_every_row_is_read() -> None:
    assert [row[0] for row in ROWS] == ["resnet50", "resnet50 data=cifar10", "transformer", "bert"]


@pytest.mark.parametrize(("command", "steps", "hours", "speed"), SHOWN)
def test_the_steps_are_those_of_the_cost_and_the_hours_follow(
    command: str, steps: str, hours: str, speed: str, tmp_path: Path
) -> None:
    recipe, *overrides = command.split()
    seeds = tuple(range(EVENING.seeds))
    request = ReproductionRequest(seeds, "gpu", 1, tmp_path, tuple(overrides), preset=EVENING)
    console = Console(quiet=True)
    base = RecipeJobs(request, recipe, CurrentData(console), console).base()
    made = sum(entry[2] for entry in cost(base, EVENING.seeds, preset=EVENING))
    assert f"{made:,}" == steps
    assert f"{made / int(speed) / 3600:.1f}" == hours
