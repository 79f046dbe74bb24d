"""Run directories that another version of autolrs made: known as such, in words, by resume, export and sweep."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from harness import composed

from autolrs_cli.commands.export import main as export
from autolrs_cli.commands.resume import main as resume
from autolrs_cli.experiments.sweep import sweep
from autolrs_cli.runner.other_version import vanished_targets

OVERRIDES = ("recipe=resnet50", "scale=tiny", "schedule=original")
MOVED = "autolrs_recipes.data.digits.Digits"
MAKER = {"versions": {"autolrs": "0.0.9"}, "code_version": "01d01d01d01d"}


def made_before(root: Path, *, summary: bool = True) -> Path:
    """Make a run directory as an older version left it, in which the class of the data lay elsewhere."""
    config: dict[str, Any] = composed(*OVERRIDES, f"run.dir={root}")
    for node in (config["data"], config["recipe"]["data"]):
        node["_target_"] = MOVED
    root.mkdir(parents=True)
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    started = {"event": "run_started", "t": 0.0, "step": 0, "total_steps": 0, "config": config, **MAKER}
    (root / "journal.jsonl").write_bytes(orjson.dumps(started, option=orjson.OPT_APPEND_NEWLINE))
    if summary:
        (root / "summary.json").write_bytes(
            orjson.dumps({"status": "interrupted", "reason": "SIGINT", **MAKER})
        )
    return root


@pytest.mark.parametrize("summary", [True, False])
def test_resume_names_the_version_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], summary: bool
) -> None:
    run = made_before(tmp_path / "run", summary=summary)
    before = {path: path.read_bytes() for path in run.iterdir() if path.name != "run.lock"}
    assert resume(run, ["dashboard=none"], [], started=time.perf_counter()) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "made by autolrs 0.0.9 (code version 01d01d01d01d)" in said
    assert MOVED in said
    assert "run it again" in said
    assert all(path.read_bytes() == content for path, content in before.items())


def test_export_does_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(made_before(tmp_path / "run"), tmp_path / "out") == 2
    assert "made by autolrs 0.0.9 (code version 01d01d01d01d)" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_run_that_says_nothing_of_its_maker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_before(tmp_path / "run", summary=False)
    (run / "journal.jsonl").write_bytes(b"")
    assert export(run, tmp_path / "out") == 2
    assert "a version that it does not name" in " ".join(capsys.readouterr().err.split())


def test_a_sweep_says_that_its_folder_holds_some_and_leaves_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "launch", lambda *_, **__: None)
    run = made_before(tmp_path / "s" / "resnet50" / "original" / "seed0" / "01d01d01")
    content = {path: path.read_bytes() for path in run.iterdir()}
    sweep.main(OVERRIDES, directory=Path("s"), fail_fast=False, rerun_failed=True, compare=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 run in s: 1 to come; 1 to run now." in said
    assert "1 run made by autolrs 0.0.9 (code version 01d01d01d01d)" in said
    assert "--dir" in said
    assert {path: path.read_bytes() for path in run.iterdir()} == content


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        (MOVED, True),
        ("autolrs_recipes.data.images.digits.Digit", True),
        ("autolrs_recipes.data.images.digits.Digits", False),
        ("autolrs_recipes.optimizers.sgd", False),
        ("autolrs_recipes.resnet50.torch.load", False),  # there, but not ours: that is for others to refuse
        ("somebody.elses.Class", False),
        ("autolrs_recipes.${x}", False),
    ],
)
def test_what_is_gone_is_told_from_what_is_foreign(target: str, gone: bool) -> None:
    assert vanished_targets({"data": [{"_target_": target}]}) == ([target] if gone else [])


def test_every_class_of_todays_configurations_is_there() -> None:
    assert vanished_targets(composed(*OVERRIDES)) == []
