"""What trackers are told, and that kept steps never come twice or backwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from autolrs_cli.trackers import feed
from autolrs_cli.trackers.feed import Feed
from autolrs_cli.trackers.points import points
from autolrs_cli.trackers.write_once import Marks, Settling

Record = dict[str, Any]


def step(number: int, loss: float | None = 1.0, **place: Any) -> Record:
    return {
        "event": "step",
        "t": 0.0,
        "step": number,
        "total_steps": number + 100,
        "loss": loss,
        "lr": 0.1,
        **place,
    }


def event(name: str, **fields: Any) -> Record:
    return {"event": name, "t": 0.0, "step": 0, "total_steps": 0, **fields}


def test_kept_and_search_steps_have_axes_of_their_own() -> None:
    trial = {"event": "trial_step", "t": 0.0, "step": 10, "total_steps": 75, "trial_step": 5, "loss": 2.0}
    (found,) = points(trial)
    assert (found.axis, found.name, found.step) == ("search", "search/trial_loss", 75)
    assert {(p.axis, p.name, p.step) for p in points(step(10))} == {
        ("kept", "train/loss", 10),
        ("kept", "train/lr", 10),
    }


def test_a_number_that_is_not_finite_is_left_out() -> None:
    assert [point.name for point in points(step(3, loss=None))] == ["train/lr"]


def test_averaged_weights_have_curves_of_their_own() -> None:
    record = event("eval", split="target", weights="averaged", metrics={"loss": 1.0})
    assert points(record)[0].name == "target_averaged/loss"


def settled(records: Sequence[Record]) -> list[tuple[str, int, float]]:
    settling = Settling()
    found = [point for record in records for point in settling.take(record, points(record))]
    return [(p.name, p.step, p.value) for p in found if p.name == "train/loss"]


def test_steps_that_are_taken_back_are_never_told() -> None:
    told = settled(
        [
            step(1),
            event("stage_started", stage=0),
            step(2, 9.0, stage=0),
            step(3, 9.0, stage=0),
            event("rolled_back", to_step=1, stage=0),
            step(2, 0.5, stage=0),
            step(3, 0.5, stage=0),
            event("stage_started", stage=1),
            step(4, 0.4, stage=1),
            event("run_finished", status="done"),
        ]
    )
    assert [(number, value) for _, number, value in told] == [(1, 1.0), (2, 0.5), (3, 0.5), (4, 0.4)]


def test_a_stage_that_is_open_when_the_run_stops_waits_for_the_next_process() -> None:
    before = [step(1), event("stage_started", stage=0), step(2, stage=0)]
    assert len(settled([*before, event("interrupted", stage=0)])) == 1
    again = [
        *before,
        event("resumed", from_step=2, stage=0),
        step(3, stage=0),
        event("run_finished", status="done"),
    ]
    assert [number for _, number, _ in settled(again)] == [1, 2, 3]


def test_marks_survive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    assert len(Marks(path).pass_on(points(step(5)))) == 2
    assert Marks(path).pass_on(points(step(5))) == []
    assert len(Marks(path).pass_on(points(step(6)))) == 2


class Recorder:
    """A tracker that remembers; it can be slow, or fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.records: list[Record] = []
        self.ended: tuple[str, Any] | None = None
        self.blocked = threading.Event()
        self.blocked.set()
        self._fails = fails

    def log(self, records: Sequence[Any]) -> None:
        self.blocked.wait(60)
        if self._fails:
            raise ConnectionError("no route to host")
        self.records += records

    def begin_again(self) -> None:
        self.records.clear()

    def finish(self, status: str, summary: Any) -> None:
        self.ended = status, summary


def fed(tmp_path: Path, tracker: Recorder, records: Sequence[Record]) -> list[str]:
    said: list[str] = []
    thread = Feed("recorder", tracker, tmp_path / "journal.jsonl", said.append)
    for record in records:
        thread.show(record)
    thread.conclude({"status": "done"})
    thread.close()
    tracker.blocked.set()
    thread.wait(time.monotonic() + 60)
    return said


def test_records_arrive_in_order_and_the_end_is_told(tmp_path: Path) -> None:
    tracker = Recorder()
    records = [*map(step, range(50)), event("checkpoint"), event("run_finished", status="done")]
    assert fed(tmp_path, tracker, records) == []
    assert tracker.records == [record for record in records if record["event"] != "checkpoint"]
    assert tracker.ended == ("done", {"status": "done"})


def test_a_run_that_goes_on_is_told_from_its_beginning(tmp_path: Path) -> None:
    resumed = event("resumed", from_step=2, t=7.5)
    history = [event("run_started"), step(1), step(2), resumed]
    journal = b"".join(orjson.dumps(record) + b"\n" for record in [*history, step(3)])
    (tmp_path / "journal.jsonl").write_bytes(journal)
    tracker = Recorder()
    fed(tmp_path, tracker, [resumed, step(3), event("run_finished", status="done")])
    assert [record["step"] for record in tracker.records if record["event"] == "step"] == [1, 2, 3]


def test_a_tracker_that_fails_says_so_once_and_stops(tmp_path: Path) -> None:
    tracker = Recorder(fails=True)
    (said,) = fed(tmp_path, tracker, [step(1), step(2)])
    assert "tracker=recorder" in said
    assert "no route to host" in said
    assert tracker.ended is None


def test_a_tracker_that_falls_behind_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 10)
    tracker = Recorder()
    tracker.blocked.clear()
    # One that is being written and those on the queue; training has gone on all the same.
    (said,) = fed(tmp_path, tracker, [step(number) for number in range(5000)])
    assert "behind" in said
