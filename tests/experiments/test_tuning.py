"""Successive halving over runs that are made up here: who goes on, what it costs, and how it goes on after a kill."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from harness import composed
from optuna.trial import TrialState

from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.experiments.launchers.local import LocalLauncher
from autolrs_cli.experiments.launchers.settings import LocalSettings
from autolrs_cli.experiments.tune.brackets import TuningPlan, plan_tuning
from autolrs_cli.experiments.tune.hyperband import Tuner, seconds_spent, steps_made
from autolrs_cli.experiments.tune.rung_run import RungResult, choose_loss
from autolrs_cli.experiments.tune.search_space import TuneSettings, read_settings, start_point
from autolrs_cli.experiments.tune.study import Configuration, Study
from autolrs_cli.experiments.tune.study_directory import StudyDirectory
from autolrs_cli.experiments.tune.task import TuningTask
from autolrs_cli.experiments.tune.trials_table import at_an_edge, write_trials

BEST_LR = 0.05


class Silent:
    """Shows nothing."""

    def began(self, configuration: Configuration, length: int) -> None: ...
    def made(self, steps: int) -> None: ...
    def ended(self, configuration: Configuration, length: int, outcome: RungResult) -> None: ...


class Bowl:
    """A bowl around the best LR, which longer runs lower; LRs above `limit` diverge after two steps."""

    def __init__(self, *, limit: float = math.inf, stop_after: float = math.inf) -> None:
        self.limit = limit
        self.left = stop_after
        self.made: list[tuple[int, float, int]] = []

    def __call__(self, configuration: Configuration, length: int, tick: Callable[[int], None]) -> RungResult:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        lr = configuration.point["peak_lr"]
        self.made.append((configuration.number, lr, length))
        if lr > self.limit:
            return RungResult(None, 2, 0.2, "diverged")
        return RungResult(math.log(lr / BEST_LR) ** 2 + 1000 / length, length, length / 10)


@functools.cache
def settings() -> TuneSettings:
    return read_settings(
        composed("recipe=resnet50", "scale=bench", "original_schedule.peak_lr=0.2", "tune=cosine")["tune"]
    )


def planned(budget: int | None = None, trials: int | None = None) -> TuningPlan:
    return plan_tuning(settings(), 2117, 2000, budget, trials)


def tuner(folder: Path, train: Bowl, plan: TuningPlan, trials: int | None = None) -> Tuner:
    study = Study(folder / "optuna.jsonl", "toy", settings(), 1000, plan.brackets[0].runs[0])
    return Tuner(study, plan, trials, train, Silent())


def test_each_rung_is_a_run_of_its_own_and_the_lowest_losses_go_on(tmp_path: Path) -> None:
    train = Bowl()
    best = tuner(tmp_path, train, planned()).carry_out()
    assert [length for _, _, length in train.made] == [236] * 9 + [2117] * 2
    assert train.made[0] == (0, 0.2, 236)  # the untuned peak comes first
    distance = {number: abs(math.log(lr / BEST_LR)) for number, lr, _ in train.made}
    through = [number for number, _, length in train.made if length == 2117]
    assert through == sorted(distance, key=lambda number: distance[number])[:2]
    assert best.number == through[0]


@pytest.mark.parametrize(("schedule", "every"), [("greedy", (50, 17, 2)), ("linear", (2117, 706, 78))])
def test_a_schedule_that_is_told_losses_is_told_as_many_in_a_short_run(
    schedule: str, every: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are evaluated at the end alone."""
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path))
    run = ("recipe=resnet50", "scale=bench", "run.max_steps=2117", "run.eval_every_steps=50")
    config = composed(*run, f"schedule={schedule}", f"tune={schedule}")
    launcher = LocalLauncher(LocalSettings(name="local", jobs=None, gpus=None))
    task = TuningTask.of(config, config["schedule"], [], [], None, None, tmp_path / "study", "sgd", launcher)
    first = Configuration(0, 0, start_point(task.settings.space), TrialState.RUNNING)
    found = [each for length in (2117, 706, 78) for each in task.overrides(first, length)]
    assert [each for each in found if "eval_every_steps" in each and "full" not in each] == [
        f"run.eval_every_steps={steps}" for steps in every
    ]


def test_full_length_decides_and_not_the_short_runs(tmp_path: Path) -> None:
    class Shifted(Bowl):
        """Short runs like an LR best that is too high for long ones."""

        def __call__(
            self, configuration: Configuration, length: int, tick: Callable[[int], None]
        ) -> RungResult:
            outcome = super().__call__(configuration, length, tick)
            wanted = BEST_LR if length > 236 else 0.12
            return replace(outcome, loss=abs(math.log(configuration.point["peak_lr"] / wanted)))

    train = Shifted()
    best = tuner(tmp_path, train, planned()).carry_out()
    first, second = (lr for _, lr, length in train.made if length == 2117)
    assert best.point["peak_lr"] == min(first, second, key=lambda lr: abs(math.log(lr / BEST_LR)))
    assert best.point["peak_lr"] == second, "the runner-up of the short runs"


def test_what_it_costs_is_what_was_planned(tmp_path: Path) -> None:
    job = tuner(tmp_path, Bowl(), planned(8000))
    job.carry_out()
    made = job.study.configurations()
    assert steps_made(made) == job.plan.steps >= 8000
    assert seconds_spent(made) == pytest.approx(job.plan.steps / 10)


def test_a_large_budget_finds_the_best_lr(tmp_path: Path) -> None:
    best = tuner(tmp_path, Bowl(), planned(60_000)).carry_out()
    assert best.point["peak_lr"] == pytest.approx(BEST_LR, rel=0.25)


def test_a_diverged_run_is_no_number_and_its_steps_go_to_another(tmp_path: Path) -> None:
    train = Bowl(limit=0.5)
    job = tuner(tmp_path, train, planned())
    best = job.carry_out()
    everything = job.study.configurations()
    failed = [each for each in everything if each.state == TrialState.FAIL]
    assert failed
    assert all(each.point["peak_lr"] > 0.5 and each.failed is not None for each in failed)
    sound = [each for each in everything if each.state != TrialState.FAIL]
    assert len(sound) == 9
    assert best.point["peak_lr"] < 0.5
    assert steps_made(everything) >= job.plan.steps


def test_a_bound_on_the_trials_is_kept_when_runs_diverge(tmp_path: Path) -> None:
    job = tuner(tmp_path, Bowl(limit=0.2), planned(trials=9), trials=9)
    job.carry_out()
    assert len(job.study.configurations()) == 9


def test_that_everything_diverged_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="every one diverged"):
        tuner(tmp_path, Bowl(limit=0.0), planned()).carry_out()


def test_a_study_that_was_stopped_anywhere_ends_as_if_it_never_was(tmp_path: Path) -> None:
    plan = planned(12_000)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = Bowl(limit=1.0)
    expected = tuner(tmp_path / "whole", whole, plan).carry_out()
    made: list[tuple[int, float, int]] = []
    best = None
    while best is None:
        train = Bowl(limit=1.0, stop_after=3)
        try:
            best = tuner(tmp_path / "parts", train, plan).carry_out()
        except KeyboardInterrupt:
            with (tmp_path / "parts" / "optuna.jsonl").open("ab") as file:
                file.write(b'{"op_code":6,"trial')  # the machine went down in the middle of a line
        made += train.made
    assert made == whole.made
    assert len(made) > 15
    assert (best.number, best.point) == (expected.number, expected.point)


def test_the_objective_is_the_slice_that_chooses_lrs() -> None:
    def measured(split: str, weights: str, loss: float | None) -> dict[str, Any]:
        return {"event": "eval", "split": split, "weights": weights, "metrics": {"loss": loss}}

    records = [
        measured("choose", "raw", 3.0),
        measured("choose", "raw", 2.0),
        measured("choose", "averaged", 1.0),
        measured("target", "raw", 0.1),
        measured("target", "averaged", 0.1),
    ]
    assert choose_loss(records, averaged=False) == 2.0
    assert choose_loss(records, averaged=True) == 1.0
    assert choose_loss([measured("choose", "raw", None)], averaged=False) is None
    with pytest.raises(TrainingError, match="must measure the slice that chooses LRs"):
        choose_loss(records[3:], averaged=False)


def test_the_table_has_every_configuration_at_full_precision(tmp_path: Path) -> None:
    job = tuner(tmp_path, Bowl(), planned())
    best = job.carry_out()
    write_trials(tmp_path / "trials.csv", job.study.configurations())
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert sum(int(row["steps"]) for row in rows) == job.plan.steps
    assert float(rows[best.number]["peak_lr"]) == best.point["peak_lr"]
    assert [row["trial"] for row in rows if row["loss_at_2117_steps"]].count(str(best.number)) == 1


@pytest.mark.parametrize(("peak", "said"), [(0.0201, "low"), (1.99, "high"), (0.2, None)])
def test_a_best_value_at_an_edge_is_said(peak: float, said: str | None) -> None:
    best = Configuration(0, 0, {"peak_lr": peak}, TrialState.COMPLETE)
    warnings = at_an_edge(settings().space, best)
    assert (
        ["widen it with tune.space.peak_lr." + said in each for each in warnings] == [True]
        if said
        else not warnings
    )


class TestAStudyDirectoryOfAnother:
    IDENTITY: ClassVar[dict[str, Any]] = {
        "config": {
            "scale": "bench",
            "dashboard": {"name": "live"},
            "tune": {"space": {"peak_lr": {"high": 10.0}}},
        },
        "plan": {"budget_steps": 2000},
        "data_fingerprint": "abc",
        "code_version": "1",
    }

    def reopen(self, root: Path, **changes: Any) -> str | None:
        directory = StudyDirectory(root)
        with directory.locked():
            if not directory.study.exists():
                directory.open(self.IDENTITY)
            return directory.open({**self.IDENTITY, **changes})

    def test_the_same_goes_on_and_other_code_is_named(self, tmp_path: Path) -> None:
        assert self.reopen(tmp_path) is None
        assert (
            self.reopen(tmp_path, config={**self.IDENTITY["config"], "dashboard": {"name": "none"}}) is None
        )
        assert "code version 1 and goes on with 2" in str(self.reopen(tmp_path, code_version="2"))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (
                {"data_fingerprint": "xyz"},
                "data_fingerprint was abc and is xyz. The same command with --rerun-stale",
            ),
            ({"plan": {"budget_steps": 4000}}, "plan.budget_steps was 2000 and is 4000"),
            (
                {"config": {"scale": "tiny", "tune": {"space": {"cycles": {"high": 3}}}}},
                r"scale was bench and is tiny; tune.space.cycles.high was \(missing\) and is 3",
            ),
        ],
    )
    def test_what_differs_is_named(self, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            self.reopen(tmp_path, **changes)

    def test_a_study_of_other_data_is_set_aside_and_one_with_other_settings_is_not(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "study"
        self.reopen(root)
        directory, other = StudyDirectory(root), {**self.IDENTITY, "data_fingerprint": "xyz"}
        with directory.locked():
            assert directory.set_aside_if_stale(self.IDENTITY) is None
            assert directory.set_aside_if_stale({**other, "plan": {"budget_steps": 4000}}) is None
            assert directory.set_aside_if_stale(other) == tmp_path / "study.stale-1"
        assert (tmp_path / "study.stale-1" / "study.json").exists()
        with directory.locked():
            assert directory.open(other) is None

    def test_a_directory_with_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(ConfigError, match="holds something else"):
            self.reopen(tmp_path)

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        directory = StudyDirectory(tmp_path)
        with (
            directory.locked(),
            pytest.raises(ConfigError, match="is in use"),
            StudyDirectory(tmp_path).locked(),
        ):
            pass
