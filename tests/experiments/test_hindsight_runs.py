"""The practical limit of schedules that are really run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from autolrs_cli.compose.user_configs import CONFIG_VARIABLE
from autolrs_cli.experiments.reproduce import grid_runs, recipe
from autolrs_cli.experiments.reproduce.reproduce import main
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.reports.compare.run_record import read_run

USER = Path(__file__).parents[1] / "user"


@pytest.mark.slow
def test_the_practical_limit_of_a_small_grid_that_is_really_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    monkeypatch.setattr(recipe, "GridRuns", partial(grid_runs.GridRuns, times=(1.0, 8.0)))
    overrides = ("--config-dir", str(USER), "target={metric:accuracy,value:0.7}")
    request = ReproductionRequest((0, 1), "tiny", 1, tmp_path, overrides)
    assert main(request, ["toy"], ["hindsight"]) == 0
    folder = tmp_path / "tiny" / "toy"
    limit = grid_runs.kept_limit(folder)
    assert limit is not None
    runs = [read_run(path.parent) for path in (folder / "hindsight").rglob("journal.jsonl")]
    assert len(runs) == limit.runs >= 6
    assert {run.seed for run in runs} == {3000}
    assert all(run.done for run in runs)
    best = min(
        run.evaluations[-1].step if name != "constant" else 130.0
        for run in runs
        for name in [run.description["schedule"]]
        if run.max_steps == limit.length
    )
    assert limit.steps <= best
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("journal.jsonl")}
    assert main(request, ["toy"], ["hindsight"]) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("journal.jsonl")} == before, (
        "nothing is run twice"
    )
    assert grid_runs.kept_limit(folder) == limit
