"""Runs on idx files and on copies of the hub's data that have moved, changed or gone."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from stored_cases import CLASSES, hub_cache, write_idx, write_parquet  # noqa: F401

from autolrs_cli.commands import resume as resuming
from autolrs_cli.commands import train as training
from autolrs_cli.commands.export import main as export

SHORT = ("scale=tiny", "schedule=original", "run.max_steps=30", "run.eval_every_steps=30", "dashboard=none")


def write_text(root: Path, held_out: int) -> Path:
    rows = [f"One sentence {i}. And the next {i}. The third {i}." for i in range(60 + held_out)]
    root.mkdir()
    Dataset.from_dict({"text": rows}).to_parquet(str(root / "train-00000-of-00001.parquet"))
    return root


def write_images(root: Path, held_out: int) -> Path:
    return write_parquet(root, {"train": 60, "test": held_out}, image="img", label="label")


def write_clothes(root: Path, held_out: int) -> Path:
    return write_idx(root, held_out=held_out)


KINDS: dict[str, tuple[Callable[[Path, int], Path], str, tuple[str, ...]]] = {
    "fashion_mnist": (
        write_clothes,
        "data.root",
        ("recipe=resnet50", "data=fashion_mnist", f"data.classes=[{','.join(CLASSES)}]"),
    ),
    "cifar10": (write_images, "data.name", ("recipe=resnet50", "data=cifar10")),
    "hub_text": (write_text, "data.name", ("recipe=bert", "data=hub_text", "data.vocab_size=200")),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, hub_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "cache"))


def train(*overrides: str, code: int = 0) -> None:
    assert training.main(overrides, started=time.perf_counter()) == code


@pytest.mark.parametrize("kind", KINDS)
def test_moved_data_can_be_named_and_other_data_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write, key, own = KINDS[kind]
    write(tmp_path / "given", 15)
    train(*own, *SHORT, f"{key}=given", "run.dir=run", "runtime.max_seconds=0.001", code=75)

    def resume(*changes: str, code: int = 0) -> str:
        changes = ("dashboard=none", "runtime.max_seconds=null", *changes)
        assert resuming.main(tmp_path / "run", changes, [], started=time.perf_counter()) == code
        said = capsys.readouterr()
        return said.out + said.err

    (tmp_path / "given").rename(tmp_path / "moved")
    assert str(tmp_path / "given") in resume(code=2)
    write(tmp_path / "other", 18)
    assert f"{key}=other has the fingerprint" in resume(f"{key}=other", code=2)
    resume(f"{key}=moved")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["bit_exact"]) == ("done", True)


@pytest.mark.parametrize("kind", ["fashion_mnist", "cifar10"])
def test_it_exports_without_its_data(tmp_path: Path, kind: str) -> None:
    write, key, own = KINDS[kind]
    write(tmp_path / "given", 15)
    train(*own, *SHORT, f"{key}=given", "run.dir=run")
    shutil.rmtree(tmp_path / "given")
    shutil.rmtree(tmp_path / "cache")
    assert export(tmp_path / "run", tmp_path / "out") == 0
    settings = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert settings["id2label"] == {str(i): name for i, name in enumerate(CLASSES)}
    assert settings["crop_size"] == settings["resize_size"] == 16
    assert all(0 < each < 1 for each in (*settings["mean"], *settings["std"]))
    assert len(settings["mean"]) == len(settings["std"]) == 3
