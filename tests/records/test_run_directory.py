"""Names and files of a run directory."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from harness import composed

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.provenance import versions
from autolrs_cli.records.run_directory import (
    HARMLESS_KEYS,
    RunDirectory,
    ScheduleLog,
    config_id,
    default_root,
    write_json,
)


def test_runs_that_differ_only_in_harmless_keys_have_one_id() -> None:
    def identify(*overrides: str) -> str:
        return config_id(composed("recipe=resnet50", "search=paper", *overrides), HARMLESS_KEYS)

    plain = identify()
    harmless = (
        "dashboard=none",
        "run.dir=elsewhere",
        "run.log_every_steps=3",
        "runtime.max_seconds=9",
        "runtime.workers=2",
    )
    assert identify(*harmless) == plain
    for meaningful in (
        "seed=1",
        "search.kappa=3",
        "runtime.threads=1",
        "data.image_size=24",
        "schedule=original",
    ):
        assert identify(meaningful) != plain, meaningful


def test_the_default_folder_tells_recipe_schedule_seed_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 1, 2, 3, 4, 5)
    root = default_root("bert", "autolrs", 3, "ab12", now)
    assert root == Path("runs/bert/autolrs/seed3/20260102-030405-ab12")
    root.mkdir(parents=True)
    assert default_root("bert", "autolrs", 3, "ab12", now).name == "20260102-030405-ab12-2"


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.create()
    directory.journal.touch()
    with pytest.raises(ConfigError, match="already holds one"):
        directory.create()


def test_a_folder_that_cannot_be_written_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"run\.dir"):
        RunDirectory(tmp_path / "file" / "run").create()


def test_equal_lrs_of_a_stage_are_one_row() -> None:
    log = ScheduleLog()
    for stage, lr in [("warm_up", 0.1), ("warm_up", 0.2), ("0", 0.2), ("0", 0.2), ("1", 0.2)]:
        log.add(stage, lr)
    assert [tuple(span) for span in log.spans] == [
        ("warm_up", 0, 1, 0.1),
        ("warm_up", 1, 1, 0.2),
        ("0", 2, 2, 0.2),
        ("1", 4, 1, 0.2),
    ]


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"loss": float("nan")})
    assert path.read_text() == '{\n  "loss": null\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_versions_name_the_libraries_that_compute() -> None:
    assert {"python", "autolrs", "torch", "torchvision", "botorch", "scipy"} <= versions().keys()
