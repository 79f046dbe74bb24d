"""`autolrs plan` and `autolrs range-test` as a person meets them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import autolrs

from autolrs_cli.experiments.cost import plan as plan_run
from autolrs_cli.experiments.range_test import run as range_test_run

NEARBY = Path(__file__).parents[1]
MINE = ("--config-dir", str(NEARBY / "user"))
QUADRATIC = ("--config-dir", str(NEARBY / "experiments" / "user"), "recipe=quadratic", "schedule=original")
STABLE_BELOW = 2 / 10.0


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*overrides: str, as_json: bool = False) -> tuple[int, str, str]:
        code = plan_run.main(overrides, steps=3, as_json=as_json, started=0.0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def range_test(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*overrides: str, **options: Any) -> tuple[int, str, str]:
        given = {"lr_min": None, "lr_max": None, "steps": 200, "out": None, **options}
        code = range_test_run.main(overrides, **given)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_plan_of_one_run(plan: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = plan(*MINE, "recipe=toy")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in ("warm-up 10", "training 120 2 searched stages", "search, at most 180 6 trials"):
        assert line in lines
    assert "in all 310 2.38 for each step kept" in lines
    assert "1 10 40 3 20 training loss" in lines
    for what in ("parameters", "a checkpoint", "disk, at most", "From 3 timed steps"):
        assert what in out
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_search_whose_trials_differ_in_length(plan: Callable[..., Any]) -> None:
    """Its check, whose trials are the longest, cannot be asked before its level was found."""
    code, out, err = plan(*MINE, "recipe=toy", "search=lean", "run.max_steps=2000")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    # A ramp of 25; rungs of 25, 50 and four of 100; two trials of a check of 40.
    assert "search, at most 580 9 trials" in lines


def test_a_plan_of_a_sweep_adds_up(plan: Callable[..., Any]) -> None:
    command = (*MINE, "recipe=toy", "schedule=autolrs,original", "seed=0,1,2")
    code, out, _ = plan(*command)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [row[:3] for row in rows[1:3]] == [
        ["schedule=autolrs", "3", "310"],
        ["schedule=original", "3", "130"],
    ]
    assert rows[3][:3] == ["in", "all", "6"]

    code, out, err = plan(*command, as_json=True)
    assert (code, err) == (0, "")
    searched, plain = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert (searched["runs"], searched["steps"]["total_steps"]) == (3, 310)
    assert (plain["runs"], plain["steps"]["total_steps"]) == (3, 130)
    # One recipe and size: measured once.
    assert searched["measured"] == plain["measured"]
    assert searched["cost"]["total_seconds"] > plain["cost"]["total_seconds"]


def test_options_and_overrides_in_any_order(tmp_path: Path) -> None:
    done = autolrs("plan", "recipe=toy", "--steps", "3", *MINE, "--json", "seed=0,1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(each["runs"], each["measured"]["timed_steps"]) for each in json.loads(done.stdout)] == [(2, 3)]


def test_a_range_test_finds_the_known_limit_of_stability(
    range_test: Callable[..., Any], tmp_path: Path
) -> None:
    code, out, err = range_test(*QUADRATIC)
    assert (code, err) == (0, "")
    low, high = map(float, re.findall(r"search\.lr_m(?:in|ax)=(\S+)", out))
    assert STABLE_BELOW / 4 < high < STABLE_BELOW
    assert low <= high / 10
    assert list(tmp_path.iterdir()) == []


def test_a_range_test_keeps_what_it_is_told_to(range_test: Callable[..., Any], tmp_path: Path) -> None:
    code, out, _ = range_test(*QUADRATIC, lr_min=1e-3, lr_max=1.0, steps=60, out=Path("kept"))
    assert code == 0
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "range-test.csv",
        "range-test.png",
        "range-test.svg",
    ]
    assert (tmp_path / "kept" / "range-test.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "kept" / "range-test.csv").open()))
    assert float(rows[0]["lr"]) == 1e-3
    assert len(rows) <= 60
    assert "written: kept/range-test.svg" in out


@pytest.mark.parametrize(
    ("overrides", "options", "told"),
    [
        (
            (),
            {"lr_min": 1.0, "lr_max": 0.1},
            "`0 < lr-min < lr-max` must hold, but got --lr-min 1 and --lr-max 0.1.",
        ),
        ((), {"lr_min": -1.0}, "`0 < lr-min < lr-max` must hold"),
        ((), {"lr_max": float("inf")}, "`0 < lr-min < lr-max` must hold"),
        ((), {"lr_min": 1e-12, "lr_max": 1e-9}, "The loss must fall somewhere on the way"),
        (("seed=0,1",), {}, "A single run takes one value for each key"),
        (("seed=-1",), {}, "`seed` must"),
    ],
)
def test_bad_input_of_a_range_test(
    range_test: Callable[..., Any],
    tmp_path: Path,
    overrides: tuple[str, ...],
    options: dict[str, Any],
    told: str,
) -> None:
    code, out, err = range_test(*QUADRATIC, *overrides, **options)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_bad_input_of_a_plan(plan: Callable[..., Any], tmp_path: Path) -> None:
    code, out, err = plan("recipe=resnet50", "scale=paper", "seed=0,1")
    assert (code, out) == (2, "")
    assert err.count("data.root") >= 1
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
