"""What a search policy may do, done by a user's own one: in a whole run, and in one that is killed in mid-search."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from diverging import nan_from
from harness import USER, assert_equal_weights, events, run
from killing import at_call, at_event, killed_by
from resuming import assert_same_run, resume

from autolrs_cli.commands.watch import main as watch
from autolrs_cli.errors import ConfigError
from autolrs_cli.records import events as journal_events
from autolrs_cli.records.journal import Journal
from autolrs_cli.reports.compare.comparison import compare
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.trainer import Trainer

ARMS: dict[str, tuple[str, ...]] = {
    "its own stages and LRs": ("recipe=toy",),
    "stops losers": ("recipe=toy", "search.stops_early=true"),
    "averaged weights": ("recipe=toy", "search.weights=averaged", "average=ema"),
    "keeps the winner's end": ("recipe=toy", "search.keeps_winner=true"),
    "keeps it, two phases": (
        "recipe=toy",
        "search.keeps_winner=true",
        "recipe.num_phases=2",
        "recipe.micro_batches=2",
    ),
    "keeps it, averaged weights": (
        "recipe=toy",
        "search.keeps_winner=true",
        "search.weights=averaged",
        "average=ema",
    ),
    "keeps it, weights kept for their mean": (
        "recipe=decoding",
        "search.keeps_winner=true",
        "run.full_eval_every_steps=20",
    ),
    "all of it": (
        "recipe=toy",
        "search.keeps_winner=true",
        "search.stops_early=true",
        "run.checkpoint_every_seconds=1e-9",
    ),
}
KEEPERS = [arm for arm in ARMS if "search.keeps_winner=true" in ARMS[arm]]
MOMENTS: dict[str, Callable[[], object]] = {
    "inside the second trial": lambda: mock.patch.object(Engine, "step", at_call(45, Engine.step)),
    "search state written": lambda: mock.patch.object(
        Journal, "write", at_event(journal_events.SearchState, 2)
    ),
    "LR chosen": lambda: mock.patch.object(Journal, "write", at_event(journal_events.LrChosen, 2)),
    "kept steps are counted": lambda: mock.patch.object(Trainer, "count", at_call(25, Trainer.count)),
    "training": lambda: mock.patch.object(Trainer, "count", at_call(60, Trainer.count)),
    "second stage": lambda: mock.patch.object(Journal, "write", at_event(journal_events.TrialFinished, 5)),
}


def begin(directory: Path, arm: str) -> None:
    run(directory, "search=ladder", *ARMS[arm], f"run.config_dir={USER}")


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


# Every arm at two moments, and one arm at all of them; the others with `-m slow`.
TELLING = ("inside the second trial", "kept steps are counted")
KILLS = [
    pytest.param(
        arm,
        moment,
        marks=() if moment in TELLING or arm == "all of it" else pytest.mark.slow,
        id=f"{arm}-{moment}",
    )
    for arm in ARMS
    for moment in MOMENTS
]


@pytest.mark.parametrize(("arm", "moment"), KILLS)
def test_killed_and_resumed_it_is_the_same_run(
    tmp_path: Path, references: Callable[[str], Path], arm: str, moment: str
) -> None:
    directory = tmp_path / "run"
    assert killed_by(MOMENTS[moment], lambda: begin(directory, arm)), f"the run never came to: {moment}"
    assert resume(directory) == 0
    assert_same_run(directory, references(arm))
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["bit_exact"]
    assert summary["total_steps"] == sum(entry["steps"] for entry in summary["ledger"].values())


def test_it_decides_its_own_stages_trials_and_lrs(references: Callable[[str], Path]) -> None:
    directory = references("its own stages and LRs")
    stages, chosen = events(directory, "stage_started"), events(directory, "lr_chosen")
    assert len(stages) > 2
    assert sum(stage["steps"] for stage in stages) == 120
    for before, stage, choice in zip(stages, stages[1:], chosen, strict=False):
        first = next(t for t in events(directory, "trial_started") if t["stage"] == stage["stage"])
        assert first["lr"] == choice["lr"], "what one stage found is where the next one begins"
        assert stage["first_step"] == before["first_step"] + before["steps"]
    for stage, choice in zip(stages, chosen, strict=True):
        kept = [r["lr"] for r in events(directory, "step") if r.get("stage") == stage["stage"]]
        assert kept[0] == choice["lr"]
        assert len(set(kept)) == -(-stage["steps"] // 10), "its LR changes within a stage"
    summary = json.loads((directory / "summary.json").read_text())
    assert [each["steps"] for each in summary["chosen"]] == [stage["steps"] for stage in stages]


def test_a_stopped_trial_is_a_state_with_a_reason(
    references: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = references("stops losers")
    stopped = [t for t in events(directory, "trial_finished") if t["status"] == "stopped"]
    assert stopped
    for trial in stopped:
        assert trial["steps"] == 5
        assert trial["predicted"] is None
        assert trial["reason"].startswith("after 5 steps its loss")
        assert not trial["best"]
    ledger = json.loads((directory / "summary.json").read_text())["ledger"]
    made = sum(t["steps"] for t in events(directory, "trial_finished"))
    assert ledger["search_discarded"]["steps"] == made
    watch([directory], follow=False)
    assert "stopped" in capsys.readouterr().out


def test_a_trial_is_scored_where_and_on_what_the_policy_says(references: Callable[[str], Path]) -> None:
    directory = references("averaged weights")
    (first, *_) = events(directory, "stage_started")
    points = [r["trial_step"] for r in events(directory, "trial_step") if (r["stage"], r["trial"]) == (0, 0)]
    assert points == [first["trial_steps"] // 2, first["trial_steps"]]
    averaged = [r["loss"] for r in events(directory, "trial_step")]
    raw = [r["loss"] for r in events(references("its own stages and LRs"), "trial_step")]
    assert not set(averaged) & set(raw)


@pytest.mark.parametrize("arm", KEEPERS)
def test_a_kept_winner_is_trained_as_if_it_had_never_been_a_trial(
    tmp_path: Path, references: Callable[[str], Path], arm: str
) -> None:
    """Weights, losses, evaluations, means of weights and examples are those of a run at these LRs without a search."""
    directory = references(arm)
    own = [each for each in ARMS[arm] if not each.startswith("search.")]
    run(tmp_path / "replayed", "schedule=replay", f"schedule.run={directory}", *own)
    assert_equal_weights(directory, tmp_path / "replayed")

    def told(path: Path) -> list[tuple[object, ...]]:
        return [
            (r["step"], r.get("lr"), r.get("loss"), r.get("metrics"), r.get("weights"))
            for r in events(path, "step", "eval")
        ]

    assert told(directory) == told(tmp_path / "replayed")
    one, other = (
        json.loads((path / "summary.json").read_text()) for path in (directory, tmp_path / "replayed")
    )
    for key in ("metrics", "raw_metrics", "notes", "examples", "step"):
        assert one[key] == other[key], key


def test_a_kept_winners_steps_are_kept_steps(references: Callable[[str], Path]) -> None:
    directory = references("keeps the winner's end")
    summary = json.loads((directory / "summary.json").read_text())
    kept = sum(choice["kept_steps"] for choice in summary["chosen"])
    assert kept > 0
    assert kept == sum(c["kept_steps"] for c in events(directory, "lr_chosen"))
    ledger = {bucket: entry["steps"] for bucket, entry in summary["ledger"].items()}
    assert ledger["search_kept"] == kept
    assert ledger["warm_up"] + ledger["training"] + ledger["search_kept"] == summary["step"] == 130
    made = sum(t["steps"] for t in events(directory, "trial_finished"))
    assert ledger["search_discarded"] == made - kept
    assert summary["total_steps"] == 130 + made - kept
    assert all(entry["seconds"] >= 0 for entry in summary["ledger"].values())
    assert [r["step"] for r in events(directory, "step")] == list(range(1, 131))
    with (directory / "schedule.csv").open() as file:
        assert sum(int(row["steps"]) for row in csv.DictReader(file)) == 130
    for key in ("t", "step", "total_steps"):
        values = [r[key] for r in events(directory)]
        assert values == sorted(values), key


def test_a_target_may_be_reached_within_a_kept_winner(tmp_path: Path) -> None:
    run(
        tmp_path / "run",
        "search=ladder",
        *ARMS["keeps the winner's end"],
        "run.eval_every_steps=5",
        "target={metric: loss, value: 0.68}",
        f"run.config_dir={USER}",
    )
    (reached,) = events(tmp_path / "run", "target_reached")
    choice = next(c for c in events(tmp_path / "run", "lr_chosen") if c["stage"] == reached["stage"])
    first = next(s for s in events(tmp_path / "run", "stage_started") if s["stage"] == reached["stage"])
    assert first["first_step"] < reached["step"] <= first["first_step"] + choice["kept_steps"]
    trials = [t for t in events(tmp_path / "run", "trial_finished") if t["stage"] <= reached["stage"]]
    discarded = sum(t["steps"] for t in trials) - sum(
        c["kept_steps"] for c in events(tmp_path / "run", "lr_chosen") if c["stage"] < reached["stage"]
    )
    # All trials of the stage are paid for before any of its kept steps counts.
    assert reached["reached_total_steps"] >= reached["reached_step"] + discarded - choice["kept_steps"]


def test_a_kept_winner_that_diverges_later_is_taken_back_whole(tmp_path: Path) -> None:
    with nan_from(45, 0.0):
        run(tmp_path / "run", "search=ladder", *ARMS["keeps the winner's end"], f"run.config_dir={USER}")
    assert len(events(tmp_path / "run", "rolled_back")) == 1
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["total_steps"] == sum(entry["steps"] for entry in summary["ledger"].values())


def test_such_runs_can_be_compared(references: Callable[[str], Path], tmp_path: Path) -> None:
    run(tmp_path / "original", "recipe=toy", "schedule=original", f"run.config_dir={USER}")
    runs = [references(arm) for arm in ("stops losers", "keeps the winner's end")]
    comparison = compare([tmp_path / "original", *runs], target=0.69, baseline=None, force=True)
    assert [arm.name.partition(" ")[0] for arm in comparison.arms] == ["original", "autolrs", "autolrs"]


def test_a_search_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.weights=averaged.*average=ema"):
        run(tmp_path / "run", "recipe=toy", "search=ladder", "search.weights=averaged")


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`search\.kappa` is not a setting"):
        run(tmp_path / "run", "recipe=toy", "search=ladder", "+search.kappa=2")
