"""`autolrs tune` as a person meets it: a study that is killed and goes on, what it leaves, and what it refuses."""

from __future__ import annotations

import csv
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml
from processes import PATIENCE_SECONDS, USER, autolrs, start, wait_for_event

from autolrs_cli.commands import listing, train
from autolrs_cli.experiments.tune import tune as tuning
from autolrs_cli.records.journal import read_journal

# AutoLRS's search makes 40 steps in such a run of 50: two trials of 20.
SMALL = (
    "run.max_steps=50",
    "published_search.num_trials=2",
    "published_search.num_random_trials=1",
    "original_schedule.warmup_steps=10",
    "published_search.max_stage_steps=40",
)
SPACE = ("tune.shortest_steps=5", "tune.budget_lengths=2", "tune.finalists=1")
RECIPE = ("--config-dir", str(USER), "recipe=toy", "schedule=cosine", *SMALL)
STUDY = ("tune", *RECIPE, "--trials", "3", *SPACE, "--dir", "study")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the commands run; the person's own configurations lie there too."""
    root = tmp_path_factory.mktemp("tune")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLRS_CONFIG_DIR", str(root / "own"))
        yield root


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """A study that was killed in its second run, with that run, and was typed again."""
    killed = start(*STUDY, cwd=folder)
    wait_for_event(folder / "study" / "runs" / "trial000" / "steps17", "run_finished", killed)
    wait_for_event(folder / "study" / "runs" / "trial001" / "steps17", "run_started", killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    # Several processes one after the other: it may take longer than one command.
    again = start(*STUDY, cwd=folder)
    out, err = again.communicate(timeout=5 * PATIENCE_SECONDS)
    return subprocess.CompletedProcess(again.args, again.returncode, out, err)


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder / "study" / "runs").rglob("summary.json"))


def test_it_goes_on_after_a_kill_and_says_what_it_found(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    assert "budget 100 steps (2 runs of full length; AutoLRS as published makes 40 to search)" in done.stdout
    assert ": 3 configurations, 4 runs, 101 steps" in done.stdout
    assert "bracket 1: 3 runs of 17 steps, then 1 run of 50 steps" in done.stdout
    assert "schedule=tuned/toy/demo/cosine-sgd-rings" in done.stdout
    assert {path.name for path in (folder / "study").iterdir()} >= {
        "study.json", "optuna.jsonl", "trials.csv", "best.yaml", "study.png", "study.svg"
    }  # fmt: skip


def test_a_rung_is_a_run_decayed_over_its_own_length(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert sorted(path.name for path in runs(folder)) == ["steps17"] * 3 + ["steps50"]
    for run in runs(folder):
        config = yaml.safe_load((run / "config.yaml").read_text())
        length = int(run.name.removeprefix("steps"))
        assert (config["run"]["max_steps"], config["seed"]) == (length, 1000)
        assert config["schedule"]["warmup_steps"] == round(10 * length / 50)
        with (run / "schedule.csv").open() as file:
            spans = [(int(row["steps"]), float(row["lr"])) for row in csv.DictReader(file)]
        assert sum(steps for steps, _ in spans) == length
        assert spans[-1][1] < 0.02 * max(lr for _, lr in spans)


def test_the_objective_is_the_run_s_loss_on_the_slice_that_chooses(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    with (folder / "study" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    for run in runs(folder):
        evals = [r for r in read_journal(run / "journal.jsonl") if r["event"] == "eval"]
        chosen_by = [r["metrics"]["loss"] for r in evals if r["split"] == "choose"]
        row = rows[int(run.parent.name.removeprefix("trial"))]
        assert float(row[f"loss_at_{run.name.removeprefix('steps')}_steps"]) == chosen_by[-1]
        assert chosen_by[-1] not in [r["metrics"]["loss"] for r in evals if r["split"] == "target"]


def test_the_steps_are_those_of_the_ledgers(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    ledgers = [orjson.loads((run / "summary.json").read_bytes())["ledger"] for run in runs(folder)]
    spent = sum(
        bucket["steps"] for ledger in ledgers for name, bucket in ledger.items() if name != "repeated"
    )
    assert re.search(rf"\n{spent} steps in 4 runs, \d+ s; budget 100;", done.stdout)


def test_what_it_found_trains(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    kept = folder / "own" / "configs" / "schedule" / "tuned" / "toy" / "demo" / "cosine-sgd-rings.yaml"
    assert kept.read_text() == (folder / "study" / "best.yaml").read_text()
    for fact in ("Budget: 100 steps; 101 made", "seed 1000", "Code version", "fingerprint rings", "study"):
        assert fact in kept.read_text()
    (command,) = re.findall(r"^train with it: (.+)$", done.stdout, re.MULTILINE)
    assert command in kept.read_text().splitlines()[0]
    trained = autolrs(*shlex.split(command)[1:], "run.dir=run", cwd=folder)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert "warning" not in trained.stdout
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert config["schedule"]["name"] == "cosine_tuned"
    assert config["schedule"]["peak_lr"] == yaml.safe_load(kept.read_text())["peak_lr"]
    assert config["schedule"]["max_steps"] == 50
    recorded = orjson.loads((folder / "run" / "summary.json").read_bytes())["tuning"]
    assert recorded == config["schedule"]["tuning"]
    assert (recorded["steps"], recorded["runs"], recorded["configurations"]) == (101, 4, 3)


def test_hydra_and_the_list_know_it(
    done: subprocess.CompletedProcess[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [
        "--config-dir",
        str(USER),
        "recipe=toy",
        "schedule=tuned/toy/demo/cosine-sgd-rings",
        "--cfg",
        "job",
    ]
    assert train.main(chosen, started=0.0) == 0
    assert "name: cosine_tuned" in capsys.readouterr().out
    assert listing.main("schedule", None) == 0
    assert "schedule=tuned/toy/demo/cosine-sgd-rings" in capsys.readouterr().out


def test_a_study_of_another_space_is_refused(
    done: subprocess.CompletedProcess[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    changed = [*RECIPE, *SPACE, "tune.space.peak_lr.high=30", "optimizer.momentum=0.8"]
    assert tuning.main(changed, 3, None, Path("study")) == 2
    said = capsys.readouterr().err
    assert "study is another study: optimizer.momentum was 0.9 and is 0.8" in said
    assert "tune.space.peak_lr.high was 10.0 and is 30.0" in said


def test_a_dry_run_says_runs_lengths_and_their_sum_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path / "own"))
    code = tuning.main(
        ["--config-dir", str(USER), "recipe=toy", "schedule=sgdr"], None, None, None, dry_run=True
    )
    heard = capsys.readouterr()
    assert (code, heard.err) == (0, "")
    assert "budget 390 steps (3 runs of full length;" in heard.out
    assert "6 configurations, 8 runs, 392 steps" in heard.out
    assert "bracket 1: 6 runs of 22 steps, then 2 runs of 130 steps" in heard.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((), {}, "but schedule=autolrs searches its own LRs. Set schedule to one of clr, constant, cosine"),
        (("schedule=original",), {}, "schedule=original is as its paper has it"),
        (("schedule=foo",), {}, "`schedule` must be one of the known options, but got schedule=foo"),
        (("schedule=cosine", "seed=0"), {}, "`1000 <= seed < 2000` must hold, but got seed=0"),
        (("schedule=cosine", "seed=2000"), {}, "but got seed=2000"),
        (("schedule=cosine", "-m"), {}, "but got -m"),
        (("schedule=cosine", "run.dir=x"), {}, "but got run.dir. Set --dir"),
        (("schedule=cosine",), {"budget_steps": 10}, r"to search \(180\), .*: 390 here, but got --budget-steps 10"),
        (("schedule=cosine",), {"trials": 0}, "but got --trials 0"),
        (("schedule=cosine", "tune.entrants=1"), {}, "`tune.entrants` must be greater than or equal to 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused_in_one_message(
    arguments: tuple[str, ...],
    options: dict[str, int],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path / "own"))
    code = tuning.main(
        ["--config-dir", str(USER), "recipe=toy", *arguments],
        options.get("trials"),
        options.get("budget_steps"),
        None,
    )
    heard = capsys.readouterr()
    assert (code, heard.out) == (2, "")
    assert heard.err.count("error: ") == 1
    assert re.search(said, heard.err), heard.err
    assert not (tmp_path / "tuning").exists()
