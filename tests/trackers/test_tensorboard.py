"""TensorBoard reads back what was written, through rollbacks and resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autolrs_cli.settings import TensorBoardSettings
from autolrs_cli.trackers.tensorboard_files import TensorBoardFiles

CONFIG = {"recipe": {"name": "toy"}, "seed": 0, "tracker": {"tensorboard": {"folder": "tensorboard"}}}
SUMMARY = {
    "step": 4,
    "total_steps": 9,
    "metrics": {"loss": 0.5, "accuracy": None},
    "target": None,
    "ledger": {"training": {"steps": 4, "seconds": 2.0}},
}


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    read = EventAccumulator(str(folder))
    read.Reload()
    return [(point.step, round(point.value, 4)) for point in read.Scalars(name)]


def step(number: int, loss: float) -> dict[str, Any]:
    return {"event": "step", "step": number, "total_steps": 0, "loss": loss, "lr": 0.1, "stage": 0}


def trial(total: int, loss: float) -> dict[str, Any]:
    return {"event": "trial_step", "step": 1, "total_steps": total, "trial_step": 1, "loss": loss}


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, "step": 0, "total_steps": 0, **fields}


def tracked(root: Path, *batches: Sequence[dict[str, Any]], ended: bool = True) -> None:
    files = TensorBoardFiles(TensorBoardSettings(folder="tensorboard"), root, CONFIG)
    for records in batches:
        files.log(records)
    if ended:
        files.finish("done", SUMMARY)
    else:
        files.close()


def test_curves_config_and_results(tmp_path: Path) -> None:
    tracked(tmp_path, [event("run_started"), trial(1, 3.0), trial(2, 2.5)], [step(1, 1.0), step(2, 0.5)])
    assert curve(tmp_path / "tensorboard", "train/loss") == [(1, 1.0), (2, 0.5)]
    assert curve(tmp_path / "tensorboard" / "search", "search/trial_loss") == [(1, 3.0), (2, 2.5)]
    assert curve(tmp_path / "tensorboard", "final/loss") == [(4, 0.5)]
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    text = read.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "name: toy" in text


def test_steps_that_are_taken_back_are_gone(tmp_path: Path) -> None:
    diverged = [event("run_started"), step(1, 1.0), trial(1, 3.0), step(2, 50.0), step(3, 90.0)]
    back = event("rolled_back", to_step=1)
    tracked(tmp_path, [*diverged, back], [trial(7, 2.0), step(2, 0.5), step(3, 0.4)])
    assert curve(tmp_path / "tensorboard", "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.4)]
    assert curve(tmp_path / "tensorboard" / "search", "search/trial_loss") == [(1, 3.0), (7, 2.0)]


def test_a_run_that_goes_on_has_each_step_once(tmp_path: Path) -> None:
    tracked(tmp_path, [event("run_started"), step(1, 1.0), step(2, 0.9), step(3, 0.8)], ended=False)
    for path in list((tmp_path / "tensorboard").rglob("events.*")):
        # As an earlier process would have left it: files are read in the order of the seconds in their names.
        path.rename(path.with_name(f"events.out.tfevents.0000000001.{path.name.split('.', 4)[4]}"))
    files = TensorBoardFiles(TensorBoardSettings(folder="tensorboard"), tmp_path, CONFIG)
    files.begin_again()
    files.log(
        [
            event("run_started"),
            step(1, 1.0),
            event("resumed", from_step=1),
            step(2, 0.9),
            step(3, 0.8),
            step(4, 0.7),
        ]
    )
    files.finish("done", SUMMARY)
    assert curve(tmp_path / "tensorboard", "train/loss") == [(1, 1.0), (2, 0.9), (3, 0.8), (4, 0.7)]
