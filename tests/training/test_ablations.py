"""Random questions, no forecast, and replays: what a search is compared with."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from harness import assert_equal_weights, composed, events, toy

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.plan import check


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("searched") / "run"
    toy(directory)
    return directory


def test_random_costs_as_much_and_asks_without_a_surrogate(searched: Path, tmp_path: Path) -> None:
    result = toy(tmp_path / "random", "schedule=random", "search.num_trials=8")
    toy(tmp_path / "autolrs", "schedule=autolrs", "search.num_trials=8")
    ledgers = [
        json.loads((tmp_path / d / "summary.json").read_text())["ledger"] for d in ("random", "autolrs")
    ]
    for bucket in ("warm_up", "training", "search_discarded"):
        assert ledgers[0][bucket]["steps"] == ledgers[1][bucket]["steps"]
    assert result.summary["schedule"] == "random"
    assert not events(tmp_path / "random", "surrogate")
    lrs = [t["lr"] for t in events(tmp_path / "random", "trial_finished")]
    assert len(set(lrs)) == len(lrs)
    assert all(1e-3 <= lr <= 1.0 for lr in lrs)


def test_random_lrs_are_spread_evenly_on_the_log_scale() -> None:
    """Kolmogorov-Smirnov at 1 %: the largest gap between the draws and the uniform distribution."""
    from autolrs_cli.search import StageSearch

    plan = check(composed("recipe=toy", "schedule=random"))
    assert plan.search is not None
    places = sorted(
        math.log(trial.lr / 1e-3) / math.log(1e3)
        for seed in range(400)
        if (trial := StageSearch(plan.search, stage_steps=40, trial_steps=20, seed=seed).ask())
    )
    gap = max(abs(place - (i + 0.5) / 400) for i, place in enumerate(places)) + 0.5 / 400
    assert gap < 1.63 / math.sqrt(400)


def test_without_a_forecast_the_lowest_last_losses_win(tmp_path: Path) -> None:
    toy(tmp_path, "search=last_losses", "search.last_share=0.25")
    losses: dict[tuple[int, int], list[float]] = {}
    for record in events(tmp_path, "trial_step"):
        losses.setdefault((record["stage"], record["trial"]), []).append(record["loss"])
    for trial in events(tmp_path, "trial_finished"):
        last = losses[trial["stage"], trial["trial"]]
        count = round(0.25 * len(last))
        assert trial["predicted"] == pytest.approx(sum(last[-count:]) / count, rel=1e-12)
        assert trial["flags"] == []
    for chosen in events(tmp_path, "lr_chosen"):
        of_stage = [t for t in events(tmp_path, "trial_finished") if t["stage"] == chosen["stage"]]
        assert chosen["lr"] == min(of_stage, key=lambda t: t["predicted"])["lr"]


def test_a_replay_is_the_run_without_its_cost(searched: Path, tmp_path: Path) -> None:
    result = toy(tmp_path, "schedule=replay", f"schedule.run={searched}")
    assert_equal_weights(searched, tmp_path)
    assert result.summary["total_steps"] == result.summary["step"] == 130
    assert result.summary["ledger"]["search_discarded"]["steps"] == 0
    other = toy(tmp_path / "other", "schedule=replay", f"schedule.run={searched}", "seed=1")
    assert other.status == "done"


def damaged(searched: Path, tmp_path: Path, name: str, content: str) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(searched, copy)
    (copy / name).write_text(content)
    return copy


def test_what_cannot_be_replayed_is_said(searched: Path, tmp_path: Path) -> None:
    def refused(run: object, *more: str) -> str:
        with pytest.raises(ConfigError) as caught:
            check(composed("recipe=toy", "schedule=replay", f"schedule.run={run}", *more))
        assert len(caught.value.problems) == 1
        return caught.value.problems[0]

    assert "Set schedule.run=RUN_DIR" in refused("null")
    assert "has ended" in refused(tmp_path / "nowhere")
    assert "must be as long as this one" in refused(searched, "run.max_steps=500")
    toy(tmp_path / "baseline", "schedule=constant")
    assert "searched run, but" in refused(tmp_path / "baseline")
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    summary = json.loads((searched / "summary.json").read_text())
    unfinished = damaged(searched, tmp_path, "summary.json", json.dumps({**summary, "status": "interrupted"}))
    assert f"autolrs resume {unfinished}" in refused(unfinished)
    for content in ("", "stage,first_step\n", "stage,first_step,steps,lr\n0,0,5,0.1\n0,7,200,0.1\n", "\0"):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        assert "schedule.csv must" in refused(damaged(searched, tmp_path, "schedule.csv", content))
