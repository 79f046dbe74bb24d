"""A run that was killed at any moment and resumed ends as if it had never been: bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import USER, events, run
from killing import MOMENTS, killed
from resuming import assert_same_run, resume

ARMS: dict[str, tuple[str, ...]] = {
    "search": ("recipe=toy",),
    "published objective, held-out loss": ("recipe=toy", "search.objective=choose"),
    "two phases, two micro-batches": (
        "recipe=toy",
        "recipe.num_phases=2",
        "recipe.micro_batches=2",
        "run.max_steps=170",
    ),
    "a full evaluation": ("recipe=decoding", "run.full_eval_every_steps=20"),
    "bf16, two loader workers": (
        "recipe=resnet50",
        "scale=tiny",
        "recipe.global_batch=8",  # bf16 is slow without instructions of its own
        "recipe.micro_batch=8",
        "runtime.precision=bf16",
        "runtime.workers=2",
        "run.max_steps=90",
        "run.eval_every_steps=15",
    ),
    "averaged weights": ("recipe=toy", "average=ema"),
    "averaged weights over a tail": ("recipe=toy", "average=tail"),
    "plateau": ("recipe=toy", "schedule=plateau", "schedule.patience=0", "run.eval_every_steps=10"),
    "greedy": ("recipe=toy", "schedule=greedy", "schedule.patience=0", "run.eval_every_steps=10"),
    "one buffer for all parameters of a group": ("recipe=toy", "optimizer=flat"),
    "optimizer state in the parameter groups": ("recipe=toy", "optimizer=group_scaled"),
    "an optimizer judged by other weights than it trains": (
        "recipe=decoding",
        "optimizer=switching",
        "search.objective=choose",
        "run.full_eval_every_steps=20",
    ),
    "schedule-free, with BatchNorm's statistics of its average": (
        "recipe=decoding",
        "optimizer=schedulefree_sgd",
        "search.objective=choose",
        "run.full_eval_every_steps=20",
    ),
    "no search": ("recipe=decoding", "schedule=original", "run.full_eval_every_steps=20"),
}


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Uninterrupted runs, one per arm, made when they are asked for."""
    made: dict[str, Path] = {}

    def reference(arm: str) -> Path:
        if arm not in made:
            made[arm] = tmp_path_factory.mktemp("references") / "run"
            begin(made[arm], arm)
        return made[arm]

    return reference


# Moments that shall have a checkpoint after every step behind them, not only those at the stages' starts.
DENSE = ("warm-up", "training", "evaluation", "last evaluation")


def begin(directory: Path, arm: str, *more: str) -> None:
    run(directory, *ARMS[arm], *more, f"run.config_dir={USER}")


def begin_for(directory: Path, arm: str, moment: str) -> None:
    begin(directory, arm, *(["run.checkpoint_every_seconds=1e-9"] if moment in DENSE else []))


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(tmp_path: Path, references: Callable[[str], Path], moment: str) -> None:
    directory = tmp_path / "run"
    assert killed(moment, lambda: begin_for(directory, "search", moment)), f"the run never came to: {moment}"
    assert resume(directory) == 0
    assert_same_run(directory, references("search"))


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "search"])
@pytest.mark.parametrize("moment", ["inside a later trial", "training", "last evaluation"])
def test_whatever_is_trained(
    tmp_path: Path, references: Callable[[str], Path], arm: str, moment: str
) -> None:
    if arm.startswith("schedule-free"):
        pytest.importorskip("schedulefree")
    directory = tmp_path / "run"
    assert killed(moment, lambda: begin_for(directory, arm, moment)), f"the run never came to: {moment}"
    assert resume(directory) == 0
    assert_same_run(directory, references(arm))


def test_bf16_is_another_computation(tmp_path: Path, references: Callable[[str], Path]) -> None:
    """Otherwise the arm above would prove nothing about it."""
    begin(tmp_path / "run", "bf16, two loader workers", "runtime.precision=fp32")
    losses = [
        [r["loss"] for r in events(path, "step")]
        for path in (tmp_path / "run", references("bf16, two loader workers"))
    ]
    assert losses[0] != losses[1]


def test_killed_again_and_again(tmp_path: Path, references: Callable[[str], Path]) -> None:
    """Also while it resumes: the journal is cut and written again each time."""
    directory = tmp_path / "run"
    assert killed("between trials", lambda: begin(directory, "search"))
    times = 0
    for moment in (
        "first step",
        "inside the first trial",
        "restore",
        "between trials",
        "training",
        "final export",
    ):
        times += killed(moment, lambda: resume(directory))
    assert times >= 5
    assert resume(directory) == 0
    assert_same_run(directory, references("search"))
    resumed = events(directory, "resumed")
    assert len(resumed) >= 3


def test_without_a_checkpoint_it_begins_again(tmp_path: Path, references: Callable[[str], Path]) -> None:
    directory = tmp_path / "run"
    more = ("schedule=constant", f"run.config_dir={USER}")  # the first checkpoint is minutes away
    assert killed("training", lambda: run(directory, "recipe=toy", *more))
    assert not list((directory / "checkpoints").glob("step-*"))
    assert resume(directory) == 0
    run(tmp_path / "reference", "recipe=toy", *more)
    assert_same_run(directory, tmp_path / "reference")
    repeated = json.loads((directory / "summary.json").read_text())["ledger"]["repeated"]["steps"]
    assert 80 <= repeated <= 85


def test_what_was_done_twice_is_in_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Points of a curve may sit in a buffer for half a second, in which this run makes all its steps.
    monkeypatch.setattr("autolrs_cli.records.journal.FLUSH_SECONDS", 0.0)
    directory = tmp_path / "run"
    # Step 60 of the run is the tenth step of the third trial: trials have 20 steps, the warm-up 10.
    assert killed("inside a later trial", lambda: begin(directory, "search"))
    assert resume(directory) == 0
    summary = json.loads((directory / "summary.json").read_text())
    ledger = summary["ledger"]
    (resumed,) = events(directory, "resumed")
    assert (resumed["from_step"], resumed["kept_trials"]) == (10, 2)
    assert 0 < ledger["repeated"]["steps"] == resumed["repeated_steps"] < 20
    assert summary["total_steps"] == sum(entry["steps"] for entry in ledger.values())
    assert ledger["search_discarded"]["steps"] == 3 * 20 + 3 * 40
    seconds = sum(entry["seconds"] for entry in ledger.values())
    assert seconds == pytest.approx(events(directory, "run_finished")[0]["t"], rel=0.05)


def test_a_run_that_is_done_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path / "run", "no search")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert resume(tmp_path / "run") == 0
    assert "is done" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
