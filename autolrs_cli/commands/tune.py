"""`autolrs tune`: the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import OVERRIDES_HELP, expanded


def tune(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="The most configurations; as many as the budget pays for if left out.", show_default=False
        ),
    ] = None,
    budget_steps: Annotated[
        int | None,
        typer.Option(
            help="Optimizer steps to spend; as many as AutoLRS's search makes if left out, and never fewer.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="The study's directory; tuning/RECIPE/SCALE/SCHEDULE if left out.",
            show_default=False,
            callback=expanded,
        ),
    ] = None,
    rerun_stale: Annotated[
        bool,
        typer.Option(
            "--rerun-stale",
            help="Begin a study again whose data have changed since; the old one is kept beside.",
        ),
    ] = False,
) -> None:
    """Tune a baseline schedule, so that AutoLRS is compared with a rival that had as many steps to find its LRs.

    Hyperband over the schedule's own settings (peak LR; SGDR's and CLR's periods and bounds too). Short runs, each
    fully decayed over its own length, choose which configurations get longer ones, by the loss on the slice that
    chooses LRs. The best is kept as schedule=tuned/RECIPE/SCALE/SCHEDULE. The same command goes on with a study that
    was stopped.

    [bold]Examples[/bold]

      autolrs tune recipe=resnet50 schedule=sgdr scale=bench

      autolrs tune recipe=bert schedule=cosine scale=bench --budget-steps 6000

      autolrs tune recipe=transformer schedule=clr scale=bench --trials 20 schedule.mode=triangular2

      autolrs tune recipe=resnet50 schedule=constant average=ema tune.space.peak_lr.high=30

      autolrs train recipe=resnet50 scale=bench schedule=tuned/resnet50/bench/sgdr     train with what was found

    Exit codes: 0 done; 1 failed while running; 2 usage or configuration; 130, 143 interrupted, 75 out of time: the same
    command goes on.
    """
    from autolrs_cli.experiments.tune.tune import main as run

    code = run(list(overrides or ()), trials, budget_steps, directory, rerun_stale=rerun_stale)
    raise typer.Exit(code)
