"""`search=lean` killed in mid-search goes on bit for bit, and its kept trials are training like any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from diverging import nan_from
from harness import USER, assert_equal_weights, events, run
from killing import at_call, at_event, killed_by
from resuming import assert_same_run, resume
from rich.console import Console

from autolrs_cli.commands.plot import main as plot
from autolrs_cli.commands.watch import main as watch
from autolrs_cli.dashboard.plain import lines
from autolrs_cli.dashboard.run_state import State
from autolrs_cli.dashboard.state import reduce
from autolrs_cli.records import events as journal_events
from autolrs_cli.records.journal import Journal, read_journal
from autolrs_cli.reports.closing_card import closing_card
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.trainer import Trainer

# Two phases, dropout, BatchNorm and accumulation; rungs long enough for batches of 16 points, two checks.
SETTINGS = (
    "recipe=toy",
    "search=lean",
    "search.ramp_fraction=0.1",
    "search.rung_fraction=0.05",
    "search.checks=[0.1,0.2]",
    "run.max_steps=600",
    "recipe.num_phases=2",
    "recipe.micro_batches=2",
    f"run.config_dir={USER}",
)
MOMENTS: dict[str, Callable[[], object]] = {
    "inside the ramp": lambda: mock.patch.object(Engine, "step", at_call(29, Engine.step)),
    "the ramp is read": lambda: mock.patch.object(Journal, "write", at_event(journal_events.SearchState, 1)),
    "the second rung begins": lambda: mock.patch.object(
        Journal, "write", at_event(journal_events.TrialStarted, 3)
    ),
    "the level is chosen": lambda: mock.patch.object(Journal, "write", at_event(journal_events.LrChosen, 1)),
    "the second trial of a check begins": lambda: mock.patch.object(
        Journal, "write", at_event(journal_events.TrialStarted, 7)
    ),
    "a check's LR is chosen": lambda: mock.patch.object(
        Journal, "write", at_event(journal_events.LrChosen, 2)
    ),
    "the second check": lambda: mock.patch.object(Journal, "write", at_event(journal_events.StageStarted, 3)),
    "near the end": lambda: mock.patch.object(Trainer, "count", at_call(550, Trainer.count)),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    run(directory, *SETTINGS)
    return directory


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed_it_is_the_same_run(tmp_path: Path, reference: Path, moment: str) -> None:
    directory = tmp_path / "run"
    assert killed_by(MOMENTS[moment], lambda: run(directory, *SETTINGS)), f"it never came to: {moment}"
    assert resume(directory) == 0
    assert_same_run(directory, reference)
    assert json.loads((directory / "summary.json").read_text())["bit_exact"]


@pytest.mark.slow
def test_in_bf16_too(tmp_path: Path) -> None:
    settings = (*SETTINGS, "runtime.precision=bf16", "run.max_steps=300")
    run(tmp_path / "whole", *settings)
    moment = MOMENTS["the second trial of a check begins"]
    assert killed_by(moment, lambda: run(tmp_path / "run", *settings))
    assert resume(tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_its_run_is_that_of_a_replay_without_a_search(tmp_path: Path, reference: Path) -> None:
    assert any(choice["kept_steps"] for choice in events(reference, "lr_chosen"))
    own = [each for each in SETTINGS if not each.startswith("search")]
    run(tmp_path / "replayed", "schedule=replay", f"schedule.run={reference}", "average=ema", *own)
    assert_equal_weights(reference, tmp_path / "replayed")


def test_its_account_is_in_the_journal_the_summary_and_on_every_screen(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ramp, *_) = events(reference, "trial_finished")
    assert (ramp["lr"], ramp["end_lr"], ramp["stage"]) == (1e-6, 10.0, 0)
    said = [choice["account"] for choice in events(reference, "lr_chosen")]
    assert said[0].startswith("no LR of the ramp lowered the loss"), "batches of 16 points are too noisy"
    assert said[1].startswith("check at step")
    summary = json.loads((reference / "summary.json").read_text())
    assert [each["account"] for each in summary["chosen"]] == said
    assert summary["average"] == "ema", "the search turned averaging on"
    discarded = summary["ledger"]["search_discarded"]["steps"]
    assert summary["total_steps"] == summary["step"] + discarded

    watch([reference], follow=False)
    assert said[-1][:40] in capsys.readouterr().out
    with Console(width=200, record=True) as console:
        console.print(closing_card(summary, reference))
    assert said[-1] in " ".join(capsys.readouterr().out.split())
    plain = [line for record in told(reference) for line in record]
    assert sum("a ramp ->" in line for line in plain) == 1
    assert sum(each in line for line in plain for each in said) == len(said)
    plot(reference, out=tmp_path / "plots")
    assert (tmp_path / "plots" / "search.png").stat().st_size > 10_000


@pytest.mark.parametrize("step", [15, 250], ids=["at the level", "after a check"])
def test_kept_steps_that_diverge_are_taken_back_and_go_on_below(
    tmp_path: Path, reference: Path, step: int
) -> None:
    lr = next(each["lr"] for each in events(reference, "step") if each["step"] == step)
    with nan_from(step, 0.7 * lr, before=step + 10):
        run(tmp_path / "run", *SETTINGS)
    (back,) = events(tmp_path / "run", "rolled_back")
    later = [each for each in events(tmp_path / "run", "lr_chosen") if each["step"] >= back["to_step"]]
    assert later[-1]["lr"] <= back["lr"]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "done"
    assert any("searched_again" in each["flags"] for each in summary["chosen"])
    assert summary["total_steps"] == sum(entry["steps"] for entry in summary["ledger"].values())


def told(directory: Path) -> Iterator[list[str]]:
    """Yield what a log would have of each record."""
    state = State()
    for record in read_journal(directory / "journal.jsonl"):
        state = reduce(state, record)
        yield lines(state, record)
