"""Runs that fail in the middle: what was recorded stays, and the person is told what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import composed
from processes import USER, autolrs

from autolrs_cli.errors import UnwritableError
from autolrs_cli.records.journal import Journal, read_journal
from autolrs_cli.runner.execute import execute, open_directory
from autolrs_cli.runner.plan import check

FAILING = ("train", "--config-dir", str(USER), "recipe=failing", "schedule=original", "run.dir=run")


def summary(directory: Path) -> dict:
    return json.loads((directory / "summary.json").read_text())


@pytest.mark.parametrize("workers", [0, 2])
def test_data_that_cannot_be_read(tmp_path: Path, workers: int) -> None:
    done = autolrs(*FAILING, f"runtime.workers={workers}", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    found = summary(tmp_path / "run")
    assert (found["status"], found["step"]) == ("failed", 30)
    assert found["reason"] == "The file points.bin must be readable, but it is gone. Restore it."
    assert found["reason"] in done.stdout
    assert list(read_journal(tmp_path / "run" / "journal.jsonl"))[-1]["event"] == "run_finished"


def test_a_worker_that_the_system_killed(tmp_path: Path) -> None:
    done = autolrs(*FAILING, "recipe.how=killed", "runtime.workers=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    found = summary(tmp_path / "run")
    assert found["cause"] == "worker_died"
    assert "runtime.workers" in found["reason"]


class TestFullDisk:
    """Writing fails from a certain event on, as on a disk without room."""

    def run(self, directory: Path, monkeypatch: pytest.MonkeyPatch, event: str) -> dict:
        config = composed("recipe=toy", "schedule=original", f"run.dir={directory}")
        plan = check(config)
        write = Journal.write

        def full(journal: Journal, what: object) -> None:
            if type(what).__name__ == event:
                raise UnwritableError("The journal must be writable: No space left on device.")
            write(journal, what)  # type: ignore[arg-type]

        monkeypatch.setattr(Journal, "write", full)
        result = execute(plan, config, open_directory(plan, config), started=0.0)
        assert result.exit_code == 1
        return summary(directory)

    @pytest.mark.parametrize(("event", "step"), [("Eval", 20), ("RunFinished", 130)])
    def test_schedule_and_summary_are_still_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str, step: int
    ) -> None:
        found = self.run(tmp_path / "run", monkeypatch, event)
        assert (found["status"], found["cause"], found["step"]) == ("failed", "unwritable", step)
        assert "No space left" in found["reason"]
        assert (tmp_path / "run" / "schedule.csv").read_text().startswith("stage,first_step,steps,lr\n")

    def test_weights_that_cannot_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("autolrs_cli.training.weights.save_file", full)
        found = self.run(tmp_path / "run", monkeypatch, "nothing")
        assert (found["status"], found["cause"]) == ("failed", "unwritable")
        assert "No space left" in found["reason"]
        assert found["metrics"]
        assert not (tmp_path / "run" / "model.safetensors").exists()
