"""The LRs that another run found, without its search."""

from __future__ import annotations

import csv
import json
import shlex
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import SEARCHED
from autolrs_cli.values import PositiveInt, checked


class _Span(NamedTuple):
    first_step: int
    steps: int
    lr: float


@checked
class Replay:
    """Every LR of a searched run, its warm-up included, at full precision.

    On the seed of that run it gives that run's weights bit for bit; on another it shows how well the LRs travel.

    Args:
        run: run directory, or a copy of it that has schedule.csv and summary.json.
        max_steps: length of this run; the replayed one must be as long.
    """

    decays: ClassVar[bool] = False  # it is told the run's length only to check it

    def __init__(self, *, run: str | None, max_steps: PositiveInt) -> None:
        self.run = run
        self.max_steps = max_steps

    def lr(self, step: int) -> float:
        """Return the base LR of `step` (0-based)."""
        return self._spans[bisect_right(self._firsts, step) - 1].lr

    def problems(self, at: str) -> list[str]:
        """Return what is wrong with the run that is to be replayed."""
        if self.run is None:
            return [
                f"`{at}.run` must name the run to replay, but got null. Set {at}.run=RUN_DIR, a run under AutoLRS."
            ]
        try:
            self._require_searched(at)
            steps = sum(span.steps for span in self._spans)
        except ConfigError as error:
            return list(error.problems)
        if steps < self.max_steps:
            return [
                f"A replayed run must be as long as this one, but {self.run} has {steps} steps of {self.max_steps}. "
                f"Set run.max_steps={steps}, or replay a longer run."
            ]
        return []

    def _require_searched(self, at: str) -> None:
        path = Path(str(self.run)) / "summary.json"
        try:
            summary = json.loads(path.read_bytes())
            status, schedule = summary["status"], summary["schedule"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"`{at}.run` must be the directory of a run that has ended, but {path} cannot be read: {error}. "
                f"Set {at}.run."
            ) from error
        if schedule not in SEARCHED:
            raise ConfigError(
                f"A replay must be of a searched run, but {self.run} trained under schedule={schedule}. "
                f"Use schedule={schedule} with that run's settings."
            )
        if status != "done":
            raise ConfigError(
                f"A replay must be of a run that is done, but {self.run} is {status}. "
                f"Go on with it first: autolrs resume {shlex.quote(str(self.run))}"
            )

    @cached_property
    def _spans(self) -> list[_Span]:
        path = Path(str(self.run)) / "schedule.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                spans = [_Span(int(r["first_step"]), int(r["steps"]), float(r["lr"])) for r in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"A run's schedule.csv must hold the LR of every step, but {path} does not: {error}. Restore it."
            ) from error
        ends = [0, *(span.first_step + span.steps for span in spans)]
        if not spans or [span.first_step for span in spans] != ends[:-1]:
            raise ConfigError(
                f"A run's schedule.csv must give every step once, in order, but {path} does not. Restore it."
            )
        return spans

    @cached_property
    def _firsts(self) -> list[int]:
        return [span.first_step for span in self._spans]
