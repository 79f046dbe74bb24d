"""The journal is strict JSON, each event stamped with time and place, readable while it grows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from autolrs_cli.errors import TrainingError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, read_journal


def journal(tmp_path: Path, **arguments: object) -> Journal:
    return Journal(tmp_path / "journal.jsonl", started=time.perf_counter(), **arguments)


def test_a_record_has_time_place_and_the_events_own_fields(tmp_path: Path) -> None:
    heard: list[dict] = []
    j = journal(tmp_path, listeners=(heard.append,))
    j.place.step, j.place.total_steps, j.place.phase, j.place.stage, j.place.trial = 7, 19, "train", 0, 2
    j.write(events.TrialStep(5, 1.25))
    j.close()
    (record,) = read_journal(tmp_path / "journal.jsonl")
    assert record == heard[0]
    t = record.pop("t")
    assert 0 <= t < 60
    assert record == {
        "event": "trial_step",
        "step": 7,
        "total_steps": 19,
        "phase": "train",
        "stage": 0,
        "trial": 2,
        "trial_step": 5,
        "loss": 1.25,
    }


def test_numbers_survive_to_the_last_bit(tmp_path: Path) -> None:
    j = journal(tmp_path)
    lr = 0.1 + 0.2
    j.write(events.Step(lr, 1 / 3, 10))
    j.close()
    (record,) = read_journal(tmp_path / "journal.jsonl")
    assert (record["lr"], record["loss"]) == (lr, 1 / 3)


def test_what_is_not_finite_is_null_never_nan(tmp_path: Path) -> None:
    j = journal(tmp_path)
    j.write(events.Step(0.1, float("nan"), 1))
    j.write(events.Eval("target", "raw", {"loss": float("inf")}))
    j.close()
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not strict JSON")

    records = [json.loads(line, parse_constant=refuse) for line in lines]
    assert records[0]["loss"] is None
    assert records[1]["metrics"] == {"loss": None}


def test_every_event_but_a_curves_points_is_on_disk_at_once(tmp_path: Path) -> None:
    j = journal(tmp_path)
    for event in (
        events.TrialStarted(0.1),
        events.Warned("careful"),
        events.Interrupted("SIGINT", EndCause.SIGINT),
    ):
        j.write(event)
        assert list(read_journal(tmp_path / "journal.jsonl"))[-1]["event"] == events.event_name(type(event))


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"step","step":1}\n{"event":"st')
    assert [r["step"] for r in read_journal(path)] == [1]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"step"}\n{"event":\n{"event":"step"}\n')
    with pytest.raises(ValueError, match=r"line 2 of .*journal\.jsonl"):
        list(read_journal(path))


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    journal(tmp_path).close()
    with pytest.raises(FileExistsError):
        journal(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    j = journal(tmp_path)
    j._file.close()
    j._file = Path("/dev/full").open("wb")  # noqa: SIM115 - closed below, where it fails
    with pytest.raises(TrainingError, match="Free space"):
        j.write(events.Warned("x" * 100))
    with pytest.raises(OSError, match="No space"):
        j._file.close()
