"""The laboratory for searches: its runs are those of `autolrs train`, and nothing is trained twice."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from documented import ROOT
from processes import autolrs

from autolrs_cli.records.journal import read_journal

SETTINGS = (
    "recipe=resnet50",
    "scale=tiny",
    "seed=1",
    "average=ema",
    "runtime.threads=1",
    "search.num_trials=2",
)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.mark.usefixtures("lab")
def test_a_policys_run_in_the_lab_is_the_real_one_and_is_trained_once(tmp_path: Path) -> None:
    from lab_memo import Memo  # type: ignore[import-not-found]
    from search_lab import Simulation  # type: ignore[import-not-found]

    def simulate() -> tuple[list[tuple[int, int, float, float]], int]:
        memo = Memo(tmp_path / "memory", [*SETTINGS, "schedule=autolrs"])
        every = memo.plan.settings.run.eval_every_steps
        story = Simulation(memo, memo.plan.search.policy(memo.plan.outline), every).run(
            memo.plan.opening, memo.plan.schedule.lr
        )
        return story.evaluations, memo.made_steps

    found, made = simulate()
    assert made > 0
    assert simulate() == (found, 0), "the second time everything is remembered"

    done = autolrs("train", *SETTINGS, "run.dir=run", "dashboard=none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    real: dict[int, dict[str, float]] = {}
    for event in read_journal(tmp_path / "run" / "journal.jsonl"):
        if event["event"] == "eval" and event["split"] == "target":
            real.setdefault(event["step"], {"total": event["total_steps"]})[event["weights"]] = event[
                "metrics"
            ]["loss"]
    assert [(step, at["total"], at["raw"], at["averaged"]) for step, at in real.items()] == found


def test_a_ramp_goes_evenly_on_the_log_scale_and_ends_where_it_should() -> None:
    from autolrs_cli.search import Trial

    ramp = Trial(0, 1e-4, steps=5, end_lr=1.0)
    assert [ramp.lr_at(number) for number in range(1, 6)] == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1.0])
    assert Trial(0, 0.1, steps=5).lr_at(5) == 0.1


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("octaves", [-2.3, -0.4, 0.0, 0.8, 3.1])
def test_the_best_factor_is_found_to_a_quarter_of_an_octave(octaves: float) -> None:
    from search_lab import ends_by_factor

    asked = []

    def end(factor: float) -> float:
        asked.append(factor)
        away = math.log2(factor) - octaves
        return math.inf if away > 2 else away**2  # training diverges far above

    ends = ends_by_factor(end)
    best = min(ends, key=ends.__getitem__)
    assert abs(math.log2(best) - octaves) <= 0.125 + 1e-9
    assert len(asked) == len(set(asked)) == len(ends), "nothing is trained twice"
    assert list(ends) == sorted(ends)
