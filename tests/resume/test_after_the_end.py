"""Going on after the end: a run that is done is not made longer, and says how else to go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import USER, toy
from resuming import resume

SHORT = ("run.max_steps=40", "run.eval_every_steps=40", "dashboard=none", f"run.config_dir={USER}")


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "original"])
def test_a_schedule_defined_by_its_length_needs_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], schedule: str
) -> None:
    toy(tmp_path / "run", f"schedule={schedule}", *SHORT)
    assert resume(tmp_path / "run", "run.max_steps=300") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"Its schedule, {schedule}, is defined by the length of the run" in told
    assert "type the command that made it, with run.max_steps=300" in told


def test_other_schedules_can_start_anew_from_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(tmp_path / "run", "schedule=constant", *SHORT)
    assert resume(tmp_path / "run", "run.max_steps=300", "seed=1") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "schedule=constant cannot go on: begin a new run" in told
    assert "got seed=1" in told
    assert told.count(f"run.init_from={tmp_path / 'run'}") == 2


def test_what_cannot_change_results_is_no_reason_to_complain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(tmp_path / "run", "schedule=constant", *SHORT)
    assert resume(tmp_path / "run", "runtime.max_seconds=60") == 0
    assert "is done; there is nothing to resume" in capsys.readouterr().out
