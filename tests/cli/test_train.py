"""`autolrs train` from the first line to the files it leaves."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import assert_equal_weights, events, run
from omegaconf import OmegaConf
from PIL import Image
from processes import COMMAND, TOY, autolrs, environment, start

from autolrs_cli.runner.code_version import CodeVersion, code_version
from autolrs_cli.runner.execute import execute, open_directory
from autolrs_cli.runner.plan import check

FILES = {
    "config.yaml",
    "journal.jsonl",
    "model.safetensors",
    "model_averaged.safetensors",
    "preprocessing",
    "schedule.csv",
    "summary.json",
}
SUMMARY_KEYS = """schema_version status recipe schedule search data data_fingerprint scale batch precision threads
seed device versions code_version code metrics target ledger chosen"""
BUCKETS = """startup warm_up training search_kept search_discarded search_model evaluation snapshot checkpoint
communication repeated other"""


def no_nan(word: str) -> None:
    pytest.fail(f"{word} is not strict JSON")


def strict_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=no_nan) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return autolrs("train", "recipe=resnet50", "scale=tiny", cwd=folder)


@pytest.fixture(scope="module")
def directory(folder: Path, done: subprocess.CompletedProcess[str]) -> Path:
    (found,) = (folder / "runs" / "resnet50" / "autolrs" / "seed0").iterdir()
    return found


@pytest.fixture(scope="module")
def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text(), parse_constant=no_nan)
    return found


class TestFirstRun:
    """`autolrs train recipe=resnet50 scale=tiny` in an empty folder, without a terminal."""

    def test_it_says_first_what_it_trains_on(self, done: subprocess.CompletedProcess[str]) -> None:
        assert (done.returncode, done.stderr) == (0, "")
        first = done.stdout.splitlines()[0]
        assert first.startswith("resnet50 at scale=tiny: ")
        assert "handwritten digits (scikit-learn), 1,797 images" in first
        assert "For the paper's experiment: scale=paper data=image_folder data.root=PATH" in first

    def test_plain_lines_have_no_escapes(self, done: subprocess.CompletedProcess[str]) -> None:
        assert "\x1b" not in done.stdout
        lines = [line.partition("]")[2] for line in done.stdout.splitlines() if line.startswith("[")]
        said = [
            "stage 1 of 2: ",
            "trial 1 of 7: LR 1.00e-6 to 1.00e1, a ramp -> ",
            "trial 2 of 7: LR ",
            "chosen LR ",
        ]
        said += ["stage 2 of 2: ", "trial 1 of 2: LR ", "chosen LR "]
        for each in said:  # in this order
            place = next(i for i, line in enumerate(lines) if each in line)
            del lines[: place + 1]

    def test_it_ends_with_a_card(
        self, done: subprocess.CompletedProcess[str], summary: dict[str, Any], directory: Path, folder: Path
    ) -> None:
        card = done.stdout[done.stdout.index("resnet50 under schedule=autolrs: done after 210 kept steps") :]
        assert f"accuracy {summary['metrics']['accuracy']:.4g}" in card
        for row in summary["chosen"]:
            assert f"{row['lr']:.4e}" in card
        for bucket in ("startup", "training", "search discarded", "search model"):
            assert f"\n{bucket} " in card
        assert f"run directory: {directory.relative_to(folder)}\n" in card
        assert all(name in card for name in FILES)
        assert "autolrs train recipe=resnet50 scale=tiny schedule=original\n" in card

    def test_it_leaves_the_files_of_a_run_and_no_other(self, directory: Path, folder: Path) -> None:
        assert {path.name for path in directory.iterdir()} == FILES
        assert [path.name for path in folder.iterdir()] == ["runs"]

    def test_the_journal_is_strict_json_in_order(self, directory: Path) -> None:
        records = strict_lines(directory / "journal.jsonl")
        assert (records[0]["event"], records[-1]["event"]) == ("run_started", "run_finished")
        assert records[-1]["status"] == "done"
        for key in ("t", "step", "total_steps"):
            values = [record[key] for record in records]
            assert values == sorted(values)
        assert [r["step"] for r in records if r["event"] == "step"] == list(range(1, 211))
        assert all({"phase", "stage", "trial"} <= r.keys() for r in records if r["event"] == "trial_step")

    def test_the_summary_tells_the_run(
        self, summary: dict[str, Any], directory: Path, done: subprocess.CompletedProcess[str]
    ) -> None:
        assert set(SUMMARY_KEYS.split()) - summary.keys() == set()
        assert (summary["status"], summary["step"]) == ("done", 210)
        assert (summary["recipe"], summary["schedule"], summary["search"]) == ("resnet50", "autolrs", "lean")
        code = code_version(OmegaConf.load(directory / "config.yaml"))
        assert (summary["threads"], summary["code_version"], summary["code"]) == (1, code.total, code.modules)
        (started,) = events(directory, "run_started")
        assert CodeVersion(started["code"]).total == started["code_version"] == code.total
        assert list(summary["ledger"]) == BUCKETS.split()
        assert sum(bucket["steps"] for bucket in summary["ledger"].values()) == summary["total_steps"]
        searched = summary["ledger"]["search_discarded"]["steps"]
        assert summary["total_steps"] == 210 + searched
        announced = re.search(
            r"210 kept steps in 2 searched stages, and up to (\d+) steps of search", done.stdout
        )
        assert announced is not None
        assert 0 < searched <= int(announced[1])
        chosen = [record["lr"] for record in events(directory, "lr_chosen")]
        assert [row["lr"] for row in summary["chosen"]] == chosen
        assert [row["steps"] for row in summary["chosen"]] == [42, 168]

    def test_the_schedule_can_be_replayed(self, summary: dict[str, Any], directory: Path) -> None:
        with (directory / "schedule.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["stage", "first_step", "steps", "lr"]
        position = 0
        for row in rows:
            assert int(row["first_step"]) == position
            position += int(row["steps"])
        assert position == 210
        level, checked = ([float(row["lr"]) for row in rows if row["stage"] == stage] for stage in "01")
        # The LR warms up to the level, and from the check on falls slowly from what was chosen there.
        assert (max(level), max(checked)) == tuple(row["lr"] for row in summary["chosen"])


@pytest.fixture(scope="module")
def fixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fixed")


@pytest.fixture(scope="module")
def fixed(fixed_folder: Path) -> subprocess.CompletedProcess[str]:
    given = ("search.lr_max=0.5", "++schedule.warmup_steps=5", "schedule=original,constant")
    return autolrs(*TOY, "-m", *given, cwd=fixed_folder)


class TestFixedSchedules:
    """Two runs of one command under schedules that are not searched."""

    def test_each_run_is_done(self, fixed: subprocess.CompletedProcess[str], fixed_folder: Path) -> None:
        assert (fixed.returncode, fixed.stderr) == (0, "")
        for schedule in ("original", "constant"):
            (directory,) = (fixed_folder / "runs" / "toy" / schedule / "seed0").iterdir()
            summary = json.loads((directory / "summary.json").read_text())
            assert (summary["status"], summary["search"], summary["chosen"]) == ("done", None, [])
            assert summary["step"] == summary["total_steps"] == 130
            assert f"toy under schedule={schedule}: done after 130 kept steps" in fixed.stdout

    def test_the_ledger_of_a_later_run_begins_with_it(self, fixed_folder: Path, fixed: object) -> None:
        (directory,) = (fixed_folder / "runs" / "toy" / "constant" / "seed0").iterdir()
        (first,) = (fixed_folder / "runs" / "toy" / "original" / "seed0").iterdir()
        started = [events(path, "run_started")[0]["t"] for path in (first, directory)]
        assert started[1] < started[0], "the second run is charged with the first one's time"

    def test_its_configuration_runs_again_and_ends_the_same(
        self, fixed_folder: Path, fixed: object, tmp_path: Path
    ) -> None:
        (directory,) = (fixed_folder / "runs" / "toy" / "constant" / "seed0").iterdir()
        stored = OmegaConf.load(directory / "config.yaml")
        assert OmegaConf.to_container(stored) == events(directory, "run_started")[0]["config"]
        stored.run.dir = str(tmp_path / "again")
        # A stored configuration is complete: it needs neither the tree nor the command line.
        config = OmegaConf.to_container(stored)
        assert isinstance(config, dict)
        plan = check(config)
        assert execute(plan, config, open_directory(plan, config), started=time.perf_counter()).exit_code == 0
        assert_equal_weights(directory, tmp_path / "again")

    def test_what_has_no_effect_is_said(self, fixed: subprocess.CompletedProcess[str]) -> None:
        for schedule in ("original", "constant"):
            warning = (
                f"warning: search.lr_max=0.5 has no effect with schedule={schedule}, which is not searched"
            )
            assert fixed.stdout.count(warning) == 1
        assert "schedule.warmup_steps=5 has no effect with schedule=original" in fixed.stdout
        assert "schedule.warmup_steps=5 has no effect with schedule=constant" not in fixed.stdout


@pytest.fixture(scope="module")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of noisy stripes; JPEG and PNG, RGB and grey, of several sizes."""
    image_root = tmp_path_factory.mktemp("images")
    stream = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for label, name in enumerate(("barred", "plain", "striped")):
            (image_root / split / name).mkdir(parents=True)
            for i in range(count):
                edge = 24 + 8 * (i % 3)
                pixels = stream.integers(0, 120, (edge, edge + 4, 3), dtype=np.uint8)
                pixels[:: label + 1, :: 2 * label + 1] += 100
                image = Image.fromarray(pixels).convert("L" if i == 0 else "RGB")
                image.save(image_root / split / name / f"{i}.{'png' if i % 2 else 'jpg'}")
    return image_root


class TestImageFolder:
    """Real image files, as a person has them."""

    def test_it_trains_the_same_for_any_number_of_workers(self, image_root: Path, tmp_path: Path) -> None:
        given = ("recipe=resnet50", "scale=tiny", "data=image_folder", f"data.root={image_root}")
        sizes = ("run.max_steps=50", "data.image_size=16")
        done = autolrs("train", *given, *sizes, "runtime.workers=2", "run.dir=two", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"image folder {image_root}, 36 images in train/ and 15 in val/ of 3 classes" in done.stdout
        assert "stage 2 of 2" in done.stdout
        run(tmp_path / "none", *given, *sizes)
        assert_equal_weights(tmp_path / "two", tmp_path / "none")


class TestQuiet:
    """Runs that nobody watches."""

    def test_without_a_dashboard_only_the_card_is_printed(self, tmp_path: Path) -> None:
        done = autolrs(
            *TOY,
            "schedule=original",
            "dashboard=none",
            'run.dir="ünï"',
            cwd=tmp_path,
            PYTHONIOENCODING="ascii",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("toy under schedule=original: done after 130 kept steps")
        assert "run directory: \\xfcn\\xef" in done.stdout
        assert (tmp_path / "ünï" / "summary.json").exists()

    def test_training_goes_on_when_its_reader_leaves(self, tmp_path: Path) -> None:
        with start(*TOY, "run.dir=run", cwd=tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith("toy at scale=demo")
            process.stdout.close()
            errors = process.stderr.read()
        assert (process.returncode, errors) == (0, "")
        assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "done"

    def test_the_card_may_be_the_first_that_meets_a_closed_pipe(self, tmp_path: Path) -> None:
        command = " ".join([*COMMAND, *TOY, "schedule=original", "dashboard=none", "run.dir=run"])
        piped = subprocess.run(
            ["/bin/bash", "-c", f"set -o pipefail; {command} | true"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (piped.returncode, piped.stderr) == (0, "")
