"""MLflow: a run in a database in the run directory, or on a tracking server."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.settings import MLflowSettings
from autolrs_cli.trackers.points import Record, parameters, points, results
from autolrs_cli.trackers.write_once import Marks, Settling

# What one request may hold.
MOST_METRICS, MOST_PARAMS, LONGEST_PARAM = 1000, 100, 500
STATUS = {"done": "FINISHED", "failed": "FAILED"}


class MLflowRun:
    """Curves over MLflow's step: kept steps, and all steps for what is named "search/".

    Args:
        settings: of the tracker.
        root: the run directory.
        config: the run's.
    """

    def __init__(self, settings: MLflowSettings, root: Path, config: Mapping[str, Any]) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every table of a new database
        self._mlflow, self._settings, self._root, self._config = mlflow, settings, root, config
        self._settling = Settling()
        self._marks = Marks(root / "mlflow" / "autolrs.json")
        self._client: Any = None

    def log(self, records: Sequence[Record]) -> None:
        """Send what the records add to the curves."""
        settled = [each for record in records for each in self._settling.take(record, points(record))]
        client, new = self._open(), self._marks.pass_on(settled)
        now = int(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        for some in _chunks([metric(p.name, p.value, now, p.step) for p in new], MOST_METRICS):
            client.log_batch(self._marks.run, metrics=some)

    def begin_again(self) -> None:
        """The whole journal comes again; what was sent before is left out."""
        self._settling = Settling()

    def finish(self, status: str, summary: Mapping[str, Any] | None) -> None:
        """Add what the run ended with, and close it."""
        client = self._open()
        for name, value in (results(summary) if summary else {}).items():
            client.log_metric(self._marks.run, name, value)
        client.set_terminated(self._marks.run, STATUS.get(status, "KILLED"))

    def _open(self) -> Any:
        if self._client is None:
            (self._root / "mlflow").mkdir(exist_ok=True)
            self._client = self._mlflow.MlflowClient(tracking_uri=self._uri())
            if self._marks.run is None:
                self._marks.run = self._begin()
                self._marks.save()
            else:
                self._client.update_run(self._marks.run, status="RUNNING")
        return self._client

    def _uri(self) -> str:
        return self._settings.uri or f"sqlite:///{self._root.absolute() / 'mlflow' / 'mlflow.db'}"

    def _begin(self) -> str:
        """Make the experiment, unless it is there, and a run in it; return the run's name."""
        client, config = self._client, self._config
        name = "/".join(
            (str(config["recipe"]["name"]), str(config["schedule"]["name"]), f"seed{config['seed']}")
        )
        experiment = client.get_experiment_by_name(self._settings.experiment)
        place = None if self._settings.uri else (self._root / "mlflow" / "artifacts").absolute().as_uri()
        number = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(self._settings.experiment, artifact_location=place)
        )
        tags = {"autolrs.run_dir": str(self._root.absolute())}
        run = str(client.create_run(number, tags=tags, run_name=name).info.run_id)
        param = self._mlflow.entities.Param
        params = [param(key, str(value)[:LONGEST_PARAM]) for key, value in parameters(config).items()]
        for some in _chunks(params, MOST_PARAMS):
            client.log_batch(run, params=some)
        return run


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
