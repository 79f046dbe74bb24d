"""`autolrs compare` and `autolrs plot` as a person meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import make_run
from processes import autolrs
from said import Said, assert_refusal

from autolrs_cli.commands.plot import main as plot
from autolrs_cli.experiments.compare import main as compare

SECOND, THIRD = [0.5, 0.9, 0.9, 0.9], [0.5, 0.6, 0.9, 0.9]


@pytest.fixture
def say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[int], Said]:
    """What was printed by the call whose exit code is given; in an empty folder, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def said(code: int) -> Said:
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return said


def test_the_table_fits_a_terminal_and_says_what_divides_what(
    say: Callable[[int], Said], tmp_path: Path
) -> None:
    for seed in range(5):
        make_run(tmp_path / "runs", "original", seed, THIRD)
        make_run(tmp_path / "runs", "autolrs", seed, SECOND)
    said = say(compare([tmp_path / "runs"]))
    assert said.code == 0
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "speedups: original / arm" in said.out
    rows = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "autolrs training <= 2.00x [2.00x, 2.00x] <= 5 of 5" in rows, (
        "the original was not run any shorter"
    )
    assert "net <= 1.00x [1.00x, 1.00x] <= 0 of 5, 5" in rows
    assert "tied" in rows
    assert "autolrs search=paper: undecided in training steps; undecided in all steps" in said.out


def test_a_refusal_names_the_run_and_force_prints_a_banner(
    say: Callable[[int], Said], tmp_path: Path
) -> None:
    make_run(tmp_path / "runs", "original", 0, THIRD)
    culprit = make_run(tmp_path / "runs", "autolrs", 0, SECOND, status=None)
    refused = say(compare([tmp_path / "runs"]))
    assert_refusal(refused)
    assert str(culprit) in refused.err
    forced = say(compare([tmp_path / "runs"], force=True))
    assert forced.code == 0
    assert forced.out.startswith("FORCED")


def test_commands_are_there_and_wrong_folders_are_one_message(tmp_path: Path) -> None:
    for command in ("compare", "plot"):
        said = autolrs(command, "nowhere", cwd=tmp_path)
        assert said.returncode == 2
        assert len([line for line in said.stderr.splitlines() if line.startswith("error: ")]) == 1
        assert "nowhere" in said.stderr


def test_plot_writes_into_the_run_or_where_it_is_told(say: Callable[[int], Said], tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "constant", 0, THIRD, status=None)
    said = say(plot(run))
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        str(run / "plots" / f"{n}.{s}") for n in ("lr", "loss") for s in ("png", "svg")
    ]
    assert say(plot(run, out=tmp_path / "elsewhere")).code == 0
    assert (tmp_path / "elsewhere" / "lr.svg").is_file()
