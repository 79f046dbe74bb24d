"""`autolrs reproduce` as a person types it: stopped, typed again, and its table."""

from __future__ import annotations

import csv
import re
import signal
from pathlib import Path

import pytest
from processes import USER, autolrs, start, wait_until

TOY = ("reproduce", "toy", "--config-dir", str(USER), "--scale", "tiny", "--seeds", "2")
ARMS = {
    "autolrs",
    "tuned clr",
    "tuned sgdr",
    "tuned constant",
    "tuned cosine",
    "tuned constant + averaged weights",
    "tuned cosine + averaged weights",
    "tuned linear + averaged weights",
    "tuned WSD + averaged weights",
    "tuned anytime + averaged weights",
    "tuned GreedyLR",
    "tuned schedule-free",
    "random LRs at AutoLRS's cost",
    "AutoLRS without its forecast",
    "AutoLRS, interval 10x wider",
    "replay of another seed",
}


def test_the_cost_runs_nothing(tmp_path: Path) -> None:
    done = autolrs(*TOY, "--cost", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "toy at scale=tiny, 2 seeds: what it costs" in done.stdout
    assert all(arm[:20] in done.stdout for arm in ARMS)
    assert re.search(r"toy: about \d.* ms a step .* 10 steps timed just now", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_the_cost_of_an_evening(tmp_path: Path) -> None:
    done = autolrs(*TOY[:-2], "--preset", "evening", "--cost", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "toy at scale=tiny, 3 seeds: what it costs" in done.stdout
    titles = ("calibration", "original", "autolrs", "lean search", "original + averaged weights", "together")
    assert all(f"\n{title}  " in done.stdout for title in titles)
    assert "tuned" not in done.stdout
    assert "replay" not in done.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nonsense",), "recipe"),
        (("toy", "seed=3"), "chooses recipes, scale and seeds itself, but got seed=3"),
        (("toy", "--scale", "huge"), "scale"),
    ],
)
def test_what_cannot_be_reproduced(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    done = autolrs("reproduce", *words, "--config-dir", str(USER), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_targets_alone(tmp_path: Path) -> None:
    done = autolrs(*TOY, "--calibrate", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "reproduction" / "tiny" / "toy"
    text = (folder / "target.yaml").read_text()
    assert "metric: accuracy" in text
    assert "- 2000" in text
    assert "data_fingerprint: rings" in text
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration",
        "composed.json",
        "target.yaml",
    ], "no arm was run"


@pytest.mark.slow
def test_from_nothing_to_a_verdict(tmp_path: Path) -> None:
    runs = tmp_path / "reproduction" / "tiny" / "toy" / "runs"
    first = start(*TOY, cwd=tmp_path, cold=True)
    wait_until(lambda: len(list(runs.rglob("summary.json"))) >= 3, first, patience=3600)
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=120)
    assert first.returncode == 130, out
    assert "to go on, type the same again: autolrs reproduce toy --seeds 2 --scale tiny" in out
    done = {path: path.read_bytes() for path in runs.rglob("summary.json") if b'"done"' in path.read_bytes()}

    second = start(*TOY, cwd=tmp_path)
    out, err = second.communicate(timeout=3600)
    assert (second.returncode, err) == (0, "")
    assert "undecided: 2 seeds make no interval; five do" in " ".join(out.split())
    assert all(path.read_bytes() == before for path, before in done.items()), "a finished run was run again"
    with (tmp_path / "reproduction" / "tiny" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["arm"] for row in rows} == ARMS
    assert {(row["baseline"], row["arm"]) for row in rows if row["baseline"] != "original"} == {
        ("tuned clr", "autolrs"),
        ("tuned sgdr", "autolrs"),
    }
    assert {row["seeds"] for row in rows} == {"2"}
    lengths = {path.parts[-2] for path in runs.glob("toy/sgdr_tuned/seed0/*/summary.json")}
    assert 2 <= len(lengths) <= 4, "the full one, then shorter ones or the longer one, each a run of its own"
    text = (tmp_path / "reproduction" / "tiny" / "table.md").read_text()
    assert "rebuilt by: autolrs compare reproduction/tiny/toy/runs --baseline original" in text
    assert "versions: autolrs" in text
    assert (runs.parent / "report" / "report.html").exists()
    assert (runs.parent / "report" / "records.jsonl.gz").exists()

    third = autolrs(*TOY, cwd=tmp_path)
    assert third.returncode == 0
    assert third.stdout.count("started:") == 0, "everything is rebuilt from the run directories"
