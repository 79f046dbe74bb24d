"""`autolrs sweep`: a grid of runs, resumable, that ends in the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import SWEEP_HELP, expanded


def sweep(
    overrides: Annotated[list[str] | None, typer.Argument(help=SWEEP_HELP, show_default=False)] = None,
    directory: Annotated[
        Path,
        typer.Option(
            "--dir",
            help="Where the run directories lie; the same sweep finds them again there.",
            callback=expanded,
        ),
    ] = Path("runs/sweep"),
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop all runs when one fails.")] = False,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Begin failed runs again; their records are kept beside.")
    ] = False,
    rerun_stale: Annotated[
        bool,
        typer.Option(
            "--rerun-stale",
            help="Run those again whose data have changed since; the old ones are kept beside.",
        ),
    ] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Leave once SLURM has the runs; the same command later watches them."),
    ] = False,
    no_compare: Annotated[bool, typer.Option("--no-compare", help="Leave the comparison out.")] = False,
) -> None:
    """Run a grid: every combination of the values given, each run in a process of its own.

    Typed again, the same command goes on: finished runs are recognised by their settings and skipped, interrupted and
    killed ones are resumed, failed ones are left (or begun again with --rerun-failed). So are those whose data have
    changed since (--rerun-stale). More values may be added.

    [bold]Examples[/bold]

      autolrs sweep recipe=resnet50 schedule=autolrs,original,sgdr seed=0,1,2 scale=bench

      autolrs sweep recipe=resnet50,bert scale=bench 'seed=range(0,5)'

      autolrs sweep recipe=bert scale=bench seed=0,1 runtime.threads=1 launcher.jobs=2        two at once

      autolrs sweep recipe=bert scale=bench seed=0,1 launcher=slurm launcher.hours=1 --detach    or ray

      autolrs sweep recipe=resnet50 schedule=cosine schedule.peak_lr=0.05,0.1,0.2 --dir runs/peaks --fail-fast

    Ctrl-C lets the running ones write a checkpoint and stops; under launcher=slurm other signals end the watching
    alone. Launchers: docs/scaling.md. Exit codes: 0 all done; 1 some failed; 2 usage or configuration, nothing was
    started; 130, 143 interrupted; 75 stopped by runtime.max_seconds.
    """
    from autolrs_cli.experiments.sweep.sweep import main

    code = main(
        list(overrides or ()),
        directory=directory,
        fail_fast=fail_fast,
        rerun_failed=rerun_failed,
        compare=not no_compare,
        rerun_stale=rerun_stale,
        detach=detach,
    )
    raise typer.Exit(code)
