"""`autolrs doctor`: what it finds, what it says to do, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autolrs_cli.commands.diagnose import run as doctor_run
from autolrs_cli.commands.diagnose import setup as doctor_setup
from autolrs_cli.commands.diagnose import shared as doctor_shared
from autolrs_cli.commands.diagnose.machine import disk
from autolrs_cli.commands.diagnose.run import main


@pytest.fixture
def examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, dict[str, Any]]]:
    """`autolrs doctor --json` on a machine with room of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def run() -> tuple[int, dict[str, Any]]:
        code = main(as_json=True)
        findings = json.loads(capsys.readouterr().out)["findings"]
        return code, {each["area"]: each for each in findings}

    return run


def test_a_machine_that_is_well(examined: Callable[[], tuple[int, dict[str, Any]]], tmp_path: Path) -> None:
    code, found = examined()
    assert code == 0
    assert {"python", "torch", "device", "cores", "memory", "disk: runs", "disk: cache"} <= set(found)
    assert {
        "data=digits",
        "data=glyphs",
        "data=phrases",
        "data=pydocs",
        "wandb",
        "mlflow",
        "terminal",
        "completion",
    } <= set(found)
    assert not {"data=image_folder", "data=wmt14"} & set(found), "what must be given first is not checked"
    assert all(each["remedy"] for each in found.values() if each["status"] != "ok")
    # Matplotlib makes its folder when it is first imported, which other tests may have done.
    written = [path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / ".config")]
    assert written == [], "something was prepared or written"


def test_bundled_data_that_is_broken(
    examined: Callable[[], tuple[int, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> list[str]:
        raise FileNotFoundError("digits.csv.gz")

    monkeypatch.setattr("autolrs_recipes.data.images.digits.Digits.problems", broken)
    code, found = examined()
    assert code == 1
    assert found["data=digits"]["status"] == "problem"
    assert "digits.csv.gz" in found["data=digits"]["said"]
    assert found["data=phrases"]["status"] == "ok"


def test_a_check_that_fails_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def torch() -> list[Any]:
        raise ImportError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(doctor_run, "CHECKS", {"torch": torch, "network": doctor_setup.environment})
    assert main(as_json=False) == 1
    said = capsys.readouterr().out
    assert "problem  torch" in said
    assert "libcudart.so" in said
    assert "ok       network" in said


def test_a_place_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    found = {each.area: each for each in disk()}
    assert found["disk: cache"].status == "problem"
    assert "AUTOLRS_CACHE_DIR" in str(found["disk: cache"].remedy)


def test_completion_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    (before,) = doctor_setup.completion()
    assert "not set up" in before.said
    (tmp_path / ".bashrc").write_text('eval "$(autolrs completion bash)"\n')
    (after,) = doctor_setup.completion()
    assert "set up in" in after.said


def test_a_shared_folder_is_looked_at_by_two_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "scratch"
    assert main(as_json=True, directory=shared) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    areas = [each["area"] for each in findings]
    assert areas == [f"shared: {name}" for name in ("seen", "locks", "fsync", "rename", "unlock")]
    assert list(shared.iterdir()) == []


def test_within_a_batch_script_there_is_no_second_task_to_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the script itself is told of the tasks that it may start."""
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert main(as_json=True, directory=tmp_path) == 0


def test_a_shared_folder_without_locks_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(doctor_shared, "FileLock", Nothing)
    assert main(as_json=True, directory=tmp_path) == 1
    problems = [e for e in json.loads(capsys.readouterr().out)["findings"] if e["status"] == "problem"]
    assert [each["area"] for each in problems] == ["shared: locks"]
    assert "two processes" in problems[0]["said"]
