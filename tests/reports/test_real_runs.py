"""Figures and comparisons of runs that were really trained (the toy recipe)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import events, toy

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.comparison import compare
from autolrs_cli.reports.compare.run_record import read_run
from autolrs_cli.reports.figures.one_run import write_run_figures

TARGET = "target={metric: loss, value: 0.6}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toys")
    for seed in (0, 1):
        for schedule in ("autolrs", "constant"):
            toy(root / f"{schedule}-{seed}", f"schedule={schedule}", f"seed={seed}", TARGET)
    return root


def test_what_is_recomputed_is_what_the_runs_saw_live(trained: Path) -> None:
    comparison = compare([trained])
    assert [arm.name for arm in comparison.arms] == ["constant", "autolrs search=paper"]
    for arm in comparison.arms:
        for seed, outcome in comparison.outcomes[arm.name].items():
            live = events(trained / f"{arm.name.partition(' ')[0]}-{seed}", "target_reached")
            assert outcome.reached == bool(live)
            for event in live:
                assert (outcome.step, outcome.total_steps) == (
                    event["reached_step"],
                    event["reached_total_steps"],
                )
                assert outcome.seconds == pytest.approx(event["reached_t"], abs=0.5)
    assert any(outcome.reached for own in comparison.outcomes.values() for outcome in own.values())


def test_plot_draws_a_searched_run_and_a_plain_one(trained: Path, tmp_path: Path) -> None:
    searched = write_run_figures(trained / "autolrs-0", tmp_path / "a")
    plain = write_run_figures(trained / "constant-0", tmp_path / "b")
    assert [path.name for path in plain] == ["lr.png", "lr.svg", "loss.png", "loss.svg"]
    assert [path.stem for path in searched[::2]] == ["lr", "loss", "search", "trials"]
    assert all(path.stat().st_size > 2_000 for path in (*searched, *plain))


def test_plot_draws_a_run_wherever_it_stopped(trained: Path, tmp_path: Path) -> None:
    """The journal, cut in the first trial and after it, as a crash leaves it."""
    lines = (trained / "autolrs-0" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("made: true\n")
    first_step = next(i for i, line in enumerate(lines) if line.startswith(b'{"event":"step"'))
    (run / "journal.jsonl").write_bytes(b"".join(lines[:first_step]))
    with pytest.raises(ConfigError, match="made none yet"):
        write_run_figures(run, tmp_path / "out")
    for name in (b"trial_step", b"surrogate"):
        index = next(i for i, line in enumerate(lines) if i >= first_step and b'"event":"%s"' % name in line)
        (run / "journal.jsonl").write_bytes(b"".join(lines[: index + 1]) + b'{"event":"st')
        assert write_run_figures(run, tmp_path / "out")
    assert not read_run(run).done
