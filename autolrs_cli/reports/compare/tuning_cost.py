"""What finding an arm's settings took, as its runs record it; where they do not, it is unknown, not nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.arms import Arm
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.schedules.tuning import tuning_in, used_otherwise
from autolrs_cli.settings import SEARCHED


@dataclass(frozen=True)
class TuningCost:
    """What it took to find the settings of an arm."""

    steps: int | None
    """Optimizer steps of every run of the study; None: unknown."""
    seconds: float | None
    words: str
    """Where they come from, or why it is unknown."""
    elsewhere: bool = False
    """Whether they were tuned, but for another run."""


def tuning_cost(arm: Arm) -> TuningCost:
    """Return what finding an arm's settings took; unknown if it is for one of its runs."""
    costs = [_of_run(run) for run in arm.all_runs]
    return next((cost for cost in costs if cost.steps is None), costs[0])


def _of_run(run: RunRecord) -> TuningCost:
    try:
        tuning = tuning_in(run.config)
    except ConfigError:
        return _unknown("what its configuration says of it is damaged")
    if tuning is None and _unlike_shipped(run.config) == []:
        return TuningCost(0, 0.0, "0 steps: search=lean as it is shipped looks for its LRs in the run itself")
    if tuning is None:
        return _unknown(_untuned(run.config))
    otherwise = used_otherwise(tuning, run.config, str(run.started.get("data_fingerprint")))
    if otherwise:
        why = f"{tuning.option} was tuned for another run ({'; '.join(otherwise)})"
        return replace(_unknown(why), elsewhere=True)
    words = (
        f"{tuning.steps:,} steps, {tuning.seconds:,.0f} s ({tuning.runs} runs of {tuning.configurations} "
        f"configurations, study {tuning.study}, {tuning.option})"
    )
    return TuningCost(tuning.steps, tuning.seconds, words)


def _unlike_shipped(config: Mapping[str, Any]) -> list[str] | None:
    """Return the keys in which a lean search differs from that of this version; None: it is no lean search.

    One whose LRs are drawn is none.
    """
    search = dict(config.get("search") or {})
    if config["schedule"].get("name") != "autolrs" or search.get("name") != "lean":
        return None
    shipped = _shipped_lean()
    keys = sorted(search.keys() | shipped.keys())
    return [key for key in keys if search.get(key, ...) != shipped.get(key, ...)]


@cache
def _shipped_lean() -> Mapping[str, Any]:
    path = files("autolrs_configs") / "search" / "lean.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["search"])


def _unknown(why: str) -> TuningCost:
    return TuningCost(None, None, f"unknown: {why}")


def _untuned(config: Mapping[str, Any]) -> str:
    schedule = str(config["schedule"].get("name"))
    if unlike := _unlike_shipped(config):
        keys = ", ".join(unlike)
        return f"it searches its LRs, which net steps count, but not by search=lean as it is shipped: {keys}"
    if schedule in SEARCHED:
        return "it searches its LRs, which net steps count, but the interval of its search was set by hand"
    if schedule == "original":
        return "its settings are its paper's, or ours, set by hand"
    if schedule == "replay":
        return "its LRs are those of another run, whose search is not counted"
    return "its settings were set by hand, or published"
