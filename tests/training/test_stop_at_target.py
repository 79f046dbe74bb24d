"""`run.stop_at_target`: the run ends once its target counts as reached, and is the same until then."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from harness import USER, assert_equal_weights, composed, events, run, toy
from killing import at_call, killed_by
from made_runs import make_run
from resuming import assert_same_run, resume

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.comparison import compare
from autolrs_cli.runner.finished_run import StoredRun
from autolrs_cli.runner.plan import check
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.evaluation import Evaluator

STOP = "run.stop_at_target=true"
EASY = "target={metric: accuracy, value: 0.0}"
CONSTANT = ("schedule=constant", "schedule.peak_lr=0.05", "recipe.num_phases=1", f"run.config_dir={USER}")


def test_it_ends_after_the_second_evaluation_as_a_run_of_that_length(tmp_path: Path) -> None:
    whole = ("run.max_steps=60", "run.eval_every_steps=5", EASY, *CONSTANT)
    result = toy(tmp_path / "run", STOP, *whole)
    assert (result.status, result.summary["step"]) == ("done", 10)
    assert (result.summary["target"]["reached"], result.summary["target"]["step"]) == (True, 5)
    assert "choose_loss" in result.summary["metrics"], "what belongs to the end of any run"
    measured = [(each["step"], each["split"]) for each in events(tmp_path / "run", "eval")]
    assert measured == [(5, "target"), (10, "target"), (10, "choose")], "and nothing is measured twice"
    toy(tmp_path / "short", "run.max_steps=10", *whole[1:])
    assert_equal_weights(tmp_path / "run", tmp_path / "short")


def test_a_run_that_misses_its_target_goes_on_to_its_planned_end(tmp_path: Path) -> None:
    result = toy(tmp_path, STOP, "run.max_steps=20", "target={metric: accuracy, value: 2.0}", *CONSTANT)
    assert (result.status, result.summary["step"]) == ("done", 20)


@pytest.mark.parametrize("search", ["lean", "paper"])
def test_a_searched_run_is_the_same_until_then(tmp_path: Path, search: str) -> None:
    settings = ("recipe=toy", f"search={search}", "run.max_steps=600", "run.eval_every_steps=20", EASY)
    run(tmp_path / "whole", *settings)
    result = run(tmp_path / "run", STOP, *settings)
    assert result.status == "done"
    assert result.summary["step"] < 600

    def told(name: str) -> list[dict]:
        passing = ("t", "step", "total_steps")
        records = events(tmp_path / name, "trial_finished", "lr_chosen", "eval")
        return [{key: value for key, value in each.items() if key not in passing} for each in records]

    until = [each for each in told("run") if each["event"] != "eval"]
    assert until == [each for each in told("whole") if each["event"] != "eval"][: len(until)]
    evaluated = [each for each in told("run") if each["event"] == "eval"]
    assert evaluated[0] in told("whole")


def test_it_ends_inside_the_kept_steps_of_a_winning_trial(tmp_path: Path) -> None:
    settings = ("recipe=toy", "search=lean", "run.max_steps=600", "run.eval_every_steps=63", EASY)
    run(tmp_path / "whole", *settings)
    choice = next(each for each in events(tmp_path / "whole", "lr_chosen") if each["step"] == 120)
    assert choice["kept_steps"] > 6, "or this would show nothing"
    result = run(tmp_path / "run", STOP, *settings)
    assert result.summary["step"] == 126
    ledger = result.summary["ledger"]
    assert result.summary["total_steps"] == sum(entry["steps"] for entry in ledger.values())
    assert ledger["search_kept"]["steps"] == 6
    loss = {
        name: next(
            each["metrics"]["loss"]
            for each in events(tmp_path / name, "eval")
            if (each["step"], each["weights"], each["split"]) == (126, "averaged", "target")
        )
        for name in ("run", "whole")
    }
    assert loss["run"] == loss["whole"] == result.summary["metrics"]["loss"]


def test_the_mean_of_the_last_checkpoints_is_that_of_its_own_end(tmp_path: Path) -> None:
    target = "+target={metric: loss, value: 1000}"
    result = run(
        tmp_path,
        "recipe=decoding",
        "schedule=original",
        "run.eval_every_steps=13",
        STOP,
        target,
        f"run.config_dir={USER}",
    )
    assert result.summary["step"] == 26
    assert "f_score" in result.summary["metrics"]
    trained = StoredRun(tmp_path).model()
    norm = sum(float(parameter.detach().double().square().sum()) for parameter in trained.parameters()) ** 0.5
    assert result.summary["metrics"]["weight_norm"] == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda: mock.patch.object(Engine, "step", at_call(8, Engine.step)), id="in training"),
        pytest.param(
            lambda: mock.patch.object(Evaluator, "complete", at_call(1, Evaluator.complete)),
            id="target reached",
        ),
    ],
)
def test_a_run_that_was_killed_ends_at_the_same_step(tmp_path: Path, moment: object) -> None:
    settings = (STOP, "run.max_steps=60", "run.eval_every_steps=5", "run.checkpoint_every_seconds=1e-9", EASY)
    toy(tmp_path / "whole", *settings, *CONSTANT)
    assert killed_by(moment, lambda: toy(tmp_path / "run", *settings, *CONSTANT))
    assert resume(tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_it_needs_a_target() -> None:
    config = composed("recipe=toy", STOP, "target=null")
    with pytest.raises(ConfigError, match=r"got run\.stop_at_target=true and no target"):
        check(config)


def _stopped(root: Path, schedule: str, seed: int, accuracy: list[float]) -> Path:
    return make_run(root, schedule, seed, accuracy, changes={"run.max_steps": 100})


def test_it_is_compared_by_the_target_that_it_stopped_at_and_no_other(tmp_path: Path) -> None:
    for seed in range(5):
        make_run(tmp_path, "original", seed, [0.1, 0.2, 0.3, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98])
        _stopped(tmp_path, "constant", seed, [0.1, 0.91, 0.92])
    (found,) = compare([tmp_path], baseline="original").speedups
    assert found.training is not None
    assert found.training.median == pytest.approx(5.0), "the original decays over its 100 steps"
    with pytest.raises(ConfigError, match="at their own target"):
        compare([tmp_path], baseline="original", target=0.95)


def test_a_decayed_schedule_that_stopped_has_not_decayed(tmp_path: Path) -> None:
    for seed in range(5):
        make_run(tmp_path, "constant", seed, [0.1, 0.2, 0.3, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98])
        _stopped(tmp_path, "cosine", seed, [0.1, 0.91, 0.92])
    with pytest.raises(ConfigError, match="to its planned end if its LR decays"):
        compare([tmp_path], baseline="constant")
