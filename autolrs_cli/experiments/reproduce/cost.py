"""What a reproduction will cost, said before its first run: runs, optimizer steps, and time from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil
from rich.table import Table

from autolrs_cli.experiments.cost.estimate import cost as estimate
from autolrs_cli.experiments.cost.measure import measure, shape_of
from autolrs_cli.experiments.reproduce.arms import (
    ARMS,
    REPLAY,
    REPLAY_ARM,
    STUDIES,
    Arm,
    Base,
    calibration_seeds,
    replay_sources,
    seeds_of,
)
from autolrs_cli.experiments.reproduce.lengths import at_most
from autolrs_cli.experiments.reproduce.presets import Preset
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.terminal.formats import duration
from autolrs_cli.wording import counted

TIMED_STEPS = 10
Entry = tuple[str, int, int]
"""What is run, how many runs, how many optimizer steps."""


def cost(base: Base, seeds: int, *, calibrated: bool = False, preset: Preset | None = None) -> list[Entry]:
    """Return what a recipe costs at most, in order: what is run, how many runs, how many optimizer steps.

    How many lengths an arm takes depends on which of them reach the target; the dearest case is counted.

    Args:
        base: the recipe.
        seeds: how many are reported.
        calibrated: whether the target is known already.
        preset: the part of it that is run; None: all.
    """
    arms, studies = (tuple(each) if preset is None else preset.arms(each) for each in (ARMS, STUDIES))
    first = [] if calibrated else [("calibration", len(calibration_seeds(seeds)), base.max_steps)]
    entries = [(what, runs, runs * steps) for what, runs, steps in first]
    entries += [
        (f"finding the settings of {arm.title}", base.tuning.runs, base.tuning.steps) for arm in studies
    ]
    entries += [_arm_cost(arm, base, len(seeds_of(arm, range(seeds)))) for arm in arms]
    replayed = 0 if preset else len(replay_sources(seeds_of(REPLAY_ARM, range(seeds))))
    return [*entries, *([(REPLAY, replayed, replayed * base.max_steps)] if replayed else [])]


def _arm_cost(arm: Arm, base: Base, seeds: int) -> Entry:
    shares = arm.lengths_at_most(base)
    runs = 1 if len(shares) == 1 else len(shares) - 1  # either the shorter lengths or the longer one
    length = round(at_most(shares) * base.max_steps)
    return arm.title, seeds * runs, seeds * (length + arm.search_steps(base))


def cost_table(base: Base, entries: Sequence[Entry], seeds: int) -> Table:
    """Return what one recipe costs, as a table."""
    table = Table(
        title=f"{base.recipe} at scale={base.scale}, {counted(seeds, 'seed')}: what it costs at most",
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


def time_needed(plan: Plan, recipe: str, entries: Sequence[Entry], at_once: int) -> tuple[float, str]:
    """Return how many seconds one recipe will take, and the same in words.

    It is found from a few real steps of a searched run, which leave nothing behind.

    Args:
        plan: of a searched run.
        recipe: its name.
        entries: what it takes.
        at_once: how many runs go on at once.
    """
    prepare_data(plan.recipe)
    # Every run is a process that imports and composes first, as this one has done now.
    until_now = time.time() - psutil.Process().create_time()
    measured = measure(plan, steps=TIMED_STEPS, started=time.perf_counter() - until_now)
    one = estimate(shape_of(plan), measured)
    step_seconds = (one.total_seconds - measured.startup_seconds) / one.total_steps
    runs = sum(entry[1] for entry in entries)
    seconds = sum(entry[2] for entry in entries) * step_seconds + runs * measured.startup_seconds
    seconds /= at_once
    several = "" if at_once == 1 else f", {counted(at_once, 'run')} at once"
    return seconds, (
        f"{recipe}: about {duration(seconds)} at most{several} ({1000 * step_seconds:.3g} ms a step with "
        f"search and evaluation, {measured.startup_seconds:.1f} s to start a run; {TIMED_STEPS} steps timed just now)"
    )
