"""What a reproduction will cost, said before its first run: runs, optimizer steps, and time from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil
from rich.console import Console
from rich.table import Table

from autolrs_cli.experiments.cost.estimate import cost
from autolrs_cli.experiments.cost.measure import measure, shape_of
from autolrs_cli.experiments.reproduce.arms import Base
from autolrs_cli.experiments.reproduce.request import ReproductionRequest, compose
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.terminal.formats import duration
from autolrs_cli.wording import counted

TIMED_STEPS = 10
Entry = tuple[str, int, int]
"""What is run, how many runs, how many optimizer steps."""


def cost_table(base: Base, entries: Sequence[Entry], seeds: int) -> Table:
    """Return what one recipe costs, as a table."""
    table = Table(
        title=f"{base.recipe} at scale={base.scale}, {counted(seeds, 'seed')}: what it costs",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("what")
    table.add_column("runs", justify="right")
    table.add_column("optimizer steps", justify="right")
    for what, runs, steps in entries:
        table.add_row(what, f"{runs}" if runs else "", f"{steps:,}")
    table.add_row("together", str(sum(e[1] for e in entries)), f"{sum(e[2] for e in entries):,}")
    return table


def time_needed(request: ReproductionRequest, base: Base, entries: Sequence[Entry], errors: Console) -> str:
    """Return how long one recipe will take, from a few real steps of a searched run, which leave nothing behind."""
    (searched,) = compose(request, base.recipe, ["schedule=autolrs", "seed=0"], errors)
    prepare_data(searched.plan.recipe)
    # Every run is a process that imports and composes first, as this one has done now.
    until_now = time.time() - psutil.Process().create_time()
    measured = measure(searched.plan, steps=TIMED_STEPS, started=time.perf_counter() - until_now)
    one = cost(shape_of(searched.plan), measured)
    step_seconds = (one.total_seconds - measured.startup_seconds) / one.total_steps
    runs = sum(entry[1] for entry in entries)
    seconds = sum(entry[2] for entry in entries) * step_seconds + runs * measured.startup_seconds
    at_once = "" if request.jobs == 1 else f", {counted(request.jobs, 'run')} at once"
    return (
        f"{base.recipe}: about {duration(seconds / request.jobs)}{at_once} ({1000 * step_seconds:.3g} ms a step with "
        f"search and evaluation, {measured.startup_seconds:.1f} s to start a run; {TIMED_STEPS} steps timed just now)"
    )
