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
            help="The most configurations; 9 for each three full lengths if left out.", show_default=False
        ),
    ] = None,
    budget_steps: Annotated[
        int | None,
        typer.Option(
            help="Optimizer steps to spend; those of three runs of full length if left out, and never fewer.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="The study's directory; tuning/RECIPE/SCALE/SCHEDULE-OPTIMIZER if left out.",
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
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say how many runs of which length it would make, and their sum; make none."
        ),
    ] = False,
) -> None:
    """Tune a baseline schedule, so that AutoLRS is compared with a rival that had its steps to find its LRs.

    Over the schedule's own settings (peak LR; SGDR's and CLR's periods and bounds too), with as many steps as three
    runs of full length for every schedule alike. Short runs, each fully decayed over its own length, choose which
    configurations get runs of full length, and those decide, by the loss on the slice that chooses LRs. The best is
    kept as schedule=tuned/RECIPE/SCALE/SCHEDULE-OPTIMIZER-DATA, with what it took to find it. The same command goes on
    with a study that was stopped.

    [bold]Examples[/bold]

      autolrs tune recipe=resnet50 schedule=sgdr scale=bench

      autolrs tune recipe=bert schedule=cosine scale=bench --dry-run

      autolrs tune recipe=bert schedule=cosine scale=bench --budget-steps 60000

      autolrs tune recipe=transformer schedule=clr scale=bench --trials 20 schedule.mode=triangular2

      autolrs tune recipe=resnet50 schedule=constant average=ema tune.space.peak_lr.high=30

      autolrs tune recipe=bert schedule=cosine scale=bench launcher=slurm launcher.hours=1     its runs on a cluster

      autolrs list schedule                             what was found; each study ends in the command that uses it

    Exit codes: 0 done; 1 failed while running; 2 usage or configuration; 130, 143 interrupted, 75 out of time: the same
    command goes on.
    """
    from autolrs_cli.experiments.tune.tune import main as run

    raise typer.Exit(
        run(list(overrides or ()), trials, budget_steps, directory, rerun_stale=rerun_stale, dry_run=dry_run)
    )
