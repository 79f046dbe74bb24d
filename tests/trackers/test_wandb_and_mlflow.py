"""Weights & Biases and MLflow, with stand-ins for the libraries: what is sent, and that nothing is sent twice."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autolrs_cli.settings import MLflowSettings, WandbSettings
from autolrs_cli.trackers.mlflow_run import MLflowRun
from autolrs_cli.trackers.wandb_run import WandbRun

CONFIG = {"recipe": {"name": "toy"}, "schedule": {"name": "autolrs"}, "seed": 3}
SUMMARY = {"metrics": {"loss": 0.5}, "target": None, "total_steps": 9, "ledger": {}}


def step(number: int, **place: Any) -> dict[str, Any]:
    return {"event": "step", "step": number, "total_steps": number, "loss": 1.0, "lr": 0.1, **place}


TRIAL = {"event": "trial_step", "step": 2, "total_steps": 7, "trial_step": 1, "loss": 2.0, "stage": 0}


class FakeWandb:
    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.logged: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.id = "abc"

    def init(self, **given: Any) -> FakeWandb:
        self.begun.append(given)
        return self

    def Settings(self, **given: Any) -> dict[str, Any]:
        return given

    def define_metric(self, name: str, step_metric: str | None = None, hidden: bool | None = None) -> None:
        self.axes[name] = step_metric or ""

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    return fake


def wandb_run(root: Path, mode: str = "offline") -> WandbRun:
    return WandbRun(WandbSettings(mode=mode, project="autolrs", entity=None), root, CONFIG)  # type: ignore[arg-type]


class TestWandb:
    def test_two_axes_and_the_results(self, wandb: FakeWandb, tmp_path: Path) -> None:
        run = wandb_run(tmp_path)
        run.log([step(1), step(2), TRIAL])
        run.finish("done", SUMMARY)
        assert wandb.logged == [
            {"step": 1, "train/loss": 1.0, "train/lr": 0.1},
            {"step": 2, "train/loss": 1.0, "train/lr": 0.1},
            {"total_steps": 7, "search/trial_loss": 2.0},
        ]
        assert (wandb.axes["train/*"], wandb.axes["search/*"]) == ("step", "total_steps")
        assert (wandb.summary["final/loss"], wandb.exit_code) == (0.5, 0)

    def test_nothing_leaves_the_machine_unless_asked_for(self, wandb: FakeWandb, tmp_path: Path) -> None:
        wandb_run(tmp_path).log([step(1)])
        (begun,) = wandb.begun
        assert (begun["mode"], begun["dir"]) == ("offline", str(tmp_path))

    def test_a_run_that_goes_on_repeats_nothing(self, wandb: FakeWandb, tmp_path: Path) -> None:
        wandb_run(tmp_path, "online").log([step(1), step(2)])
        again = wandb_run(tmp_path, "online")
        again.begin_again()
        again.log([step(1), step(2), step(3)])
        assert [values["step"] for values in wandb.logged] == [1, 2, 3]
        assert (wandb.begun[1]["id"], wandb.begun[1]["resume"]) == ("abc", "allow")


class FakeClient:
    def __init__(self, module: FakeMLflow) -> None:
        self._module = module

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        return "1"

    def create_run(self, experiment_id: str, *, tags: dict[str, str], run_name: str) -> Any:
        self._module.names.append(run_name)
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def update_run(self, run_id: str, *, status: str) -> None:
        self._module.status = status

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self._module.metrics += [(name, number) for name, _, _, number in metrics]
        self._module.params |= dict(params)

    def log_metric(self, run_id: str, name: str, value: float) -> None:
        self._module.results[name] = value

    def set_terminated(self, run_id: str, status: str) -> None:
        self._module.status = status


class FakeMLflow:
    def __init__(self) -> None:
        self.entities = SimpleNamespace(Metric=lambda *given: given, Param=lambda *given: given)
        self.metrics: list[tuple[str, int]] = []
        self.params: dict[str, str] = {}
        self.results: dict[str, float] = {}
        self.names: list[str] = []
        self.uris: list[str] = []
        self.status = ""

    def MlflowClient(self, tracking_uri: str) -> FakeClient:
        self.uris.append(tracking_uri)
        return FakeClient(self)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMLflow:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)  # type: ignore[arg-type]
    return fake


def mlflow_run(root: Path) -> MLflowRun:
    return MLflowRun(MLflowSettings(uri=None, experiment="autolrs"), root, CONFIG)


class TestMLflow:
    def test_metrics_settings_and_results(self, mlflow: FakeMLflow, tmp_path: Path) -> None:
        run = mlflow_run(tmp_path)
        run.log([step(1), TRIAL])
        run.finish("done", SUMMARY)
        assert mlflow.metrics == [("train/loss", 1), ("train/lr", 1), ("search/trial_loss", 7)]
        assert mlflow.params["recipe.name"] == "toy"
        assert (mlflow.results["final/loss"], mlflow.status) == (0.5, "FINISHED")
        assert mlflow.uris == [f"sqlite:///{tmp_path}/mlflow/mlflow.db"]

    def test_a_run_that_goes_on_is_one_run_and_repeats_nothing(
        self, mlflow: FakeMLflow, tmp_path: Path
    ) -> None:
        first = mlflow_run(tmp_path)
        first.log([step(1)])
        first.finish("interrupted", None)
        assert mlflow.status == "KILLED"
        again = mlflow_run(tmp_path)
        again.begin_again()
        again.log([step(1), step(2)])
        assert [number for name, number in mlflow.metrics if name == "train/loss"] == [1, 2]
        assert mlflow.names == ["toy/autolrs/seed3"]
        assert mlflow.status == "RUNNING"
