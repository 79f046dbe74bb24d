"""Whole runs of the toy recipe: the search leaves no trace, trials are paired, and the journal adds up."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path

import pytest
import toy_recipe
from harness import assert_equal_weights, events, toy

from autolrs_cli.contracts import Batch, Position

HELD_OUT = ("search.objective=choose",)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run under AutoLRS that uses all it can: two phases' stages, both objectives, the surrogate."""
    directory = tmp_path_factory.mktemp("searched")
    assert toy(directory, "run.max_steps=250").status == "done"
    return directory


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("recipe.num_phases=2", "run.max_steps=240"),
        ("recipe.micro_batches=2",),
        ("runtime.workers=2",),
        ("optimizer.momentum=0", "optimizer.nesterov=false"),
        ("search.objective=choose", "run.eval_every_steps=15"),
        ("search.objective=choose", "runtime.workers=2"),
        ("average=ema",),
        ("average=tail",),
    ],
    ids=[
        "plain",
        "two phases",
        "accumulation",
        "workers",
        "no momentum",
        "held-out loss",
        "held-out loss and workers",
        "averaged weights",
        "averaged weights, a tail",
    ],
)
def test_a_search_leaves_no_trace(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """A run at the LRs that a search chose, without the search, ends bit-equal."""
    toy(tmp_path / "searched", *overrides)
    toy(tmp_path / "replayed", "schedule=replay", f"schedule.run={tmp_path / 'searched'}", *overrides)
    assert_equal_weights(tmp_path / "searched", tmp_path / "replayed")
    kept = [
        [(r["step"], r["lr"], r["loss"]) for r in events(tmp_path / d, "step")]
        for d in ("searched", "replayed")
    ]
    assert kept[0] == kept[1]
    if any(each.startswith("average=") for each in overrides):
        averaged = [tmp_path / d / "model_averaged.safetensors" for d in ("searched", "replayed")]
        assert averaged[0].read_bytes() == averaged[1].read_bytes()


def test_the_first_step_after_a_restore_trains_at_the_new_lr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 2 of the published code."""
    from autolrs_cli.training.engine import Engine

    seen: list[float] = []
    step = Engine.step

    def spy(self: Engine, batches: list[Batch], lr: float, micro_batches: int) -> tuple[float, int]:
        before = self.model[0].weight.detach().clone()
        result = step(self, batches, lr, micro_batches)
        group = self.optimizer.param_groups[0]
        momentum = self.optimizer.state[group["params"][0]]["momentum_buffer"]
        gradient = self.model[0].weight.grad + group["weight_decay"] * before
        change = (before - self.model[0].weight.detach()) / (gradient + group["momentum"] * momentum)
        seen.append(float(change.median()) / 0.5)
        return result

    monkeypatch.setattr(Engine, "step", spy)
    toy(tmp_path)
    trained = [r["lr"] for r in events(tmp_path, "step")]
    asked = [r["lr"] for r in events(tmp_path, "trial_finished") for _ in range(r["steps"])]
    assert sorted(seen) == pytest.approx(sorted(trained + asked), rel=1e-6)


def test_trials_of_a_stage_see_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the training that follows them."""
    read: list[tuple[Position, str]] = []
    batch = toy_recipe.Rings.batch

    def spy(self: toy_recipe.Rings, position: Position) -> Batch:
        found = batch(self, position)
        read.append((position, hashlib.sha256(found["points"].numpy().tobytes()).hexdigest()))
        return found

    monkeypatch.setattr(toy_recipe.Rings, "batch", spy)
    toy(tmp_path)
    contents = defaultdict(set)
    times = defaultdict(int)
    for position, digest in read:
        contents[position].add(digest)
        times[position] += 1
    assert all(len(digests) == 1 for digests in contents.values())
    assert times[Position(0, 10, 0)] == 4, "three trials and the training step"
    assert times[Position(0, 49, 0)] == 1, "beyond the trials"
    assert len({next(iter(digests)) for digests in contents.values()}) == 130, "every step has its own batch"


def test_each_kept_step_stands_once_in_the_journal(searched: Path) -> None:
    steps = [r["step"] for r in events(searched, "step")]
    assert steps == list(range(1, 251))


def test_the_clock_and_the_steps_never_run_backwards(searched: Path) -> None:
    records = events(searched)
    for key in ("t", "step", "total_steps"):
        values = [r[key] for r in records]
        assert values == sorted(values), key


def test_the_ledger_adds_up(searched: Path) -> None:
    summary = json.loads((searched / "summary.json").read_text())
    ledger = summary["ledger"]
    steps = {bucket: entry["steps"] for bucket, entry in ledger.items()}
    assert steps["warm_up"] == 10
    assert steps["training"] == 240
    assert steps["search_discarded"] == sum(r["steps"] for r in events(searched, "trial_finished")) == 360
    assert summary["step"] == 250
    assert summary["total_steps"] == sum(steps.values()) == 610
    assert events(searched, "run_finished")[0]["ledger"].keys() == ledger.keys()


def test_a_trial_counts_the_steps_it_made_not_its_last_loss_point(tmp_path: Path) -> None:
    toy(tmp_path, "run.max_steps=92", "search.initial_stage_steps=82", "search.max_stage_steps=82", *HELD_OUT)
    trials = events(tmp_path, "trial_finished")
    points = events(tmp_path, "trial_step")
    assert {t["steps"] for t in trials} == {41}
    assert max(p["trial_step"] for p in points) == 40
    ledger = events(tmp_path, "run_finished")[0]["ledger"]
    assert ledger["search_discarded"]["steps"] == sum(t["steps"] for t in trials)


def test_the_chosen_lr_is_that_of_the_lowest_forecast(searched: Path) -> None:
    trials, chosen = events(searched, "trial_finished"), events(searched, "lr_chosen")
    assert len(chosen) == 4
    for choice in chosen:
        stage = [t for t in trials if t["stage"] == choice["stage"]]
        best = min(stage, key=lambda t: t["predicted"])
        assert (choice["lr"], choice["predicted"], choice["chosen_trial"]) == (
            best["lr"],
            best["predicted"],
            best["trial"],
        )
        trained = {r["lr"] for r in events(searched, "step") if r.get("stage") == choice["stage"]}
        assert trained == {choice["lr"]}


def test_held_out_loss_judges_from_the_stage_after_the_first_longest_one(searched: Path) -> None:
    stages = events(searched, "stage_started")
    assert [(s["steps"], s["objective"]) for s in stages] == [
        (40, "train"),
        (80, "train"),
        (80, "choose"),
        (40, "choose"),
    ]
    points = [r for r in events(searched, "trial_step") if r["stage"] == 2 and r["trial"] == 0]
    assert [p["trial_step"] for p in points] == list(range(2, 41, 2)), "every max(1, 40 // 16) steps"


def test_the_schedule_file_has_every_kept_step_at_full_precision(searched: Path) -> None:
    with (searched / "schedule.csv").open() as file:
        rows = list(csv.DictReader(file))
    lrs = [float(row["lr"]) for row in rows for _ in range(int(row["steps"]))]
    assert lrs == [r["lr"] for r in events(searched, "step")]
    assert [int(row["first_step"]) for row in rows] == [
        sum(int(r["steps"]) for r in rows[:i]) for i in range(len(rows))
    ]
    assert [row["stage"] for row in rows] == ["warm_up"] * 10 + ["0", "1", "2", "3"]


@pytest.mark.parametrize("schedule", ["autolrs", "original", "constant"])
def test_the_same_seed_gives_the_same_run(tmp_path: Path, schedule: str) -> None:
    toy(tmp_path / "one", f"schedule={schedule}")
    toy(tmp_path / "two", f"schedule={schedule}", "dashboard=plain", "run.log_every_steps=7")
    toy(tmp_path / "other", f"schedule={schedule}", "seed=1")
    assert_equal_weights(tmp_path / "one", tmp_path / "two")
    with pytest.raises(AssertionError, match="different tensors"):
        assert_equal_weights(tmp_path / "one", tmp_path / "other")
