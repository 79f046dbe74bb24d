"""The work of `autolrs range-test`: compose, train with a growing LR, propose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from autolrs_cli.compose.resolve import run_jobs
from autolrs_cli.dashboard.chart import Axis, Series, axis_over, chart
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.cost.scratch_trainer import scratch_trainer
from autolrs_cli.experiments.range_test.lr_range import Proposal, RangeTest, propose, run_range_test
from autolrs_cli.experiments.range_test.report import write
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.terminal.console import PatientConsole, say

# Around the peak of the original schedule, which is known to train: ours.
BELOW_PEAK, ABOVE_PEAK = 1e-3, 1e2
CHART_COLUMNS, CHART_ROWS = 100, 16
FOR = "search=paper"
"""The search that takes an interval."""


def main(
    overrides: Sequence[str], *, lr_min: float | None, lr_max: float | None, steps: int, out: Path | None
) -> int:
    """Make an LR range test of the configuration that `overrides` stand for; return the exit code.

    Args:
        overrides: Hydra's command line; one value for each key.
        lr_min: LR of the first step; None: from the original schedule.
        lr_max: LR of the last step; None: from the original schedule.
        steps: how many.
        out: folder for figure and points; None: nothing is written.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)

    def job(config: dict[str, Any]) -> None:
        with errors.status("checking settings and data ..."):
            plan = check(config)
            low, high = _ends(plan, lr_min, lr_max)
        with PreparationProgress(errors) as progress:
            prepare_data(plan.recipe, progress)
        test = _train(plan, low, high, steps, errors)
        proposal = propose(test)
        _show(plan, test, proposal, console)
        for path in write(out, _title(plan), test, proposal) if out is not None else ():
            say(console, f"written: {path}")

    return run_jobs(job, [FOR, *overrides], errors)


def _ends(plan: Plan, lr_min: float | None, lr_max: float | None) -> tuple[float, float]:
    """Return the first and the last LR.

    Raises:
        ConfigError: if they are no interval, or have to be given.
    """
    peak = plan.settings.original_schedule.get("peak_lr")
    if isinstance(peak, int | float):
        low, high = (
            BELOW_PEAK * peak if lr_min is None else lr_min,
            ABOVE_PEAK * peak if lr_max is None else lr_max,
        )
    elif lr_min is not None and lr_max is not None:
        low, high = lr_min, lr_max
    else:
        raise ConfigError(
            "A range test must know where to begin and end, but this recipe's original_schedule has no peak_lr. "
            "Give --lr-min and --lr-max."
        )
    if not (0 < low < high and math.isfinite(high)):
        raise ConfigError(
            f"`0 < lr-min < lr-max` must hold, but got --lr-min {low:g} and --lr-max {high:g}. Mend one of them."
        )
    return float(low), float(high)


def _train(plan: Plan, low: float, high: float, steps: int, errors: Console) -> RangeTest:
    with scratch_trainer(plan) as (trainer, _):
        ticks = iter(
            track(range(steps), "training", console=errors, transient=True, disable=not errors.is_terminal)
        )

        def step(index: int, lr: float) -> float:
            next(ticks, None)
            return trainer.advance(0, index, lr, "training")[0]

        return run_range_test(step, low, high, steps)


def _title(plan: Plan) -> str:
    settings = plan.settings
    return f"LR range test: {settings.recipe['name']} scale={settings.scale} seed={settings.seed}"


def _show(plan: Plan, test: RangeTest, proposal: Proposal, console: Console) -> None:
    console.print(_title(plan), style="bold", highlight=False)
    smoothed = proposal.smoothed
    lowest = min(smoothed)
    shown = [loss for loss in smoothed if loss <= smoothed[0] + 0.35 * (smoothed[0] - lowest)]
    x, y = axis_over(test.lrs, log=True, powers=True), axis_over(shown, log=False)
    x = Axis(x.low, x.high, log=True, label="LR", powers=True)
    lines = Series(test.lrs[: len(smoothed)], smoothed, "cyan")
    ends = [Series((end, end), (y.low, y.high), "green") for end in (proposal.lr_min, proposal.lr_max)]
    width = min(CHART_COLUMNS, console.size.width)
    for line in chart((*ends, lines), x, y, width, CHART_ROWS, unicode=console.encoding.startswith("utf")):
        console.print(line, soft_wrap=True)
    climbs = "it never climbed" if proposal.climbs_at is None else f"climbs again at {proposal.climbs_at:.2g}"
    say(
        console,
        f"Training loss (running median) over {len(test.lrs)} steps: it falls from LR {proposal.falls_at:.2g} on, "
        f"{climbs}.",
    )
    for note in proposal.notes:
        say(console, f"note: {note}")
    say(console, f"Proposed: {FOR} search.lr_min={proposal.lr_min:g} search.lr_max={proposal.lr_max:g}")
