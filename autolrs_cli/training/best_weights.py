"""The weights at the best evaluation of a run: `run.keep_best`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from autolrs_cli.contracts import Metric
from autolrs_cli.durable import publish
from autolrs_cli.errors import UnwritableError
from autolrs_cli.training.weights import LastCheckpoints


@dataclass(frozen=True)
class Best:
    """The best evaluation so far."""

    metric: str
    value: float
    step: int
    """Kept steps at it."""


class BestWeights:
    """Keeps, beside the weights of the best evaluation, those that were best at a resume point that is still there.

    Args:
        files: where they lie until the run is done; room for one, at any step.
        metric: what is best of: the target's metric, or the recipe's where there is no target.
    """

    def __init__(self, files: LastCheckpoints, metric: Metric) -> None:
        self.metric = metric
        self.files = files

    def better(self, best: Best | None, metrics: Mapping[str, float], step: int) -> Best | None:
        """Return the evaluation after kept step `step` if it is better than the best so far; else None.

        Metrics of a full evaluation are not there at every evaluation.
        """
        value = metrics.get(self.metric.name)
        if value is None or not math.isfinite(value):
            return None
        sign = 1 if self.metric.direction == "max" else -1
        if best is not None and sign * value <= sign * best.value:
            return None
        return Best(self.metric.name, value, step)

    def keep(self, model: nn.Module, step: int, resumable: int) -> None:
        """Write weights that are the best after kept step `step`.

        Args:
            model: has them.
            step: the kept steps so far.
            resumable: kept steps at the last resume point; later weights that were best before are dropped.

        Raises:
            UnwritableError: if they cannot be written.
        """
        self.files.keep(model, step)
        for other in self.files.steps():
            if resumable < other < step:
                self.files.path(other).unlink()

    def copy_to(self, path: Path, best: Best) -> None:
        """Leave the best weights in `path`, whole or not at all.

        Raises:
            UnwritableError: if that is not possible.
        """
        aside = path.with_name(f"{path.name}.part")
        try:
            shutil.copyfile(self.files.path(best.step), aside)
            publish(aside, path)
        except OSError as error:
            raise UnwritableError(
                f"The run directory must take the best weights (step {best.step:,}), but {path} cannot be written: "
                f"{error}. Free some space or mend the folder's permissions."
            ) from error

    def forget(self) -> None:
        """Remove the folder, once the run is done."""
        shutil.rmtree(self.files.folder, ignore_errors=True)
