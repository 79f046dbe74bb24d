"""Which target a comparison is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from autolrs_cli.contracts import Direction
from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.arms import Arm
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.time_to_target import Goal, metric_curve

# With fewer evaluations than this a metric (BLEU, measured at the end only) makes no race; the loss then stands in.
FEWEST_EVALUATIONS = 3


def choose_goal(arms: Sequence[Arm], baseline: Arm, target: float | None) -> Goal:
    """Return the target: that of the runs' configuration, or `target`, or else the baseline's median final value.

    Raises:
        ConfigError: if no run was evaluated on the metric.
    """
    runs = [run for arm in arms for run in arm.all_runs]
    metric, direction, configured = _metric(runs)
    usual = runs[0].description["metric"]["name"]
    if target is not None and configured is None and metric != usual:
        raise ConfigError(
            f"A target is of the recipe's metric, {usual}, but these runs measured it less than {FEWEST_EVALUATIONS} "
            f"times, so they can only race for {metric}, and got --target {target:g}. Run with "
            "run.full_eval_every_steps, or leave --target out."
        )
    if target is not None:
        return Goal(metric, direction, target, "command line")
    if configured is not None:
        return Goal(metric, direction, configured, "configuration")
    finals = final_values(baseline.at_length(usual_length(arms)), metric, direction)
    if not finals:
        raise ConfigError(
            f"A comparison needs evaluations of {metric}, but no run of {baseline.name} has one. Lower "
            "run.eval_every_steps."
        )
    return Goal(metric, direction, float(np.median(finals)), "baseline")


def usual_length(arms: Sequence[Arm]) -> int:
    """Return the budget: the length that most arms have, the longest of equals."""
    counts = Counter(length for arm in arms for length in arm.lengths)
    return max(counts, key=lambda length: (counts[length], length))


def final_values(runs: Sequence[RunRecord], metric: str, direction: Direction) -> list[float]:
    """Return the last finite value of `metric` of each run that has one and came to its end."""
    curves = [metric_curve(run, metric, direction).values for run in runs if run.done]
    finite = [values[np.isfinite(values)] for values in curves]
    return [float(values[-1]) for values in finite if len(values)]


def _metric(runs: Sequence[RunRecord]) -> tuple[str, Direction, float | None]:
    targets = [run.description["target"] for run in runs if run.description.get("target")]
    if targets:
        target = targets[0]
        return target["metric"], target["direction"], float(target["value"])
    metric: dict[str, Any] = runs[0].description["metric"]
    evaluations = [sum(metric["name"] in e.metrics for e in run.evaluations) for run in runs]
    if np.median(evaluations) < FEWEST_EVALUATIONS:
        return "loss", "min", None
    return str(metric["name"]), metric["direction"], None
