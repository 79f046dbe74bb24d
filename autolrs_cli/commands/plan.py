"""`autolrs plan`: what a run, or a sweep, will cost before it starts."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from autolrs_cli.commands.options import SWEEP_HELP

# Close to the beginning of the process: what a run's startup is counted from.
STARTED = time.perf_counter()


def plan(
    overrides: Annotated[list[str] | None, typer.Argument(help=SWEEP_HELP, show_default=False)] = None,
    steps: Annotated[int, typer.Option(min=3, help="Optimizer steps that are timed.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Say what a run will cost before it starts: steps, time, memory, disk.

    A few steps of the recipe are really made on this machine and timed; so are an evaluation, a copy of the training
    state, a checkpoint and a question of the search. The rest is multiplication. No run directory is left behind.

    [bold]Examples[/bold]

      autolrs plan recipe=resnet50

      autolrs plan recipe=bert scale=bench schedule=autolrs,original seed=0,1,2       a sweep

      autolrs plan recipe=transformer scale=gpu runtime.device=cuda --steps 50 --json

    Seconds hold for a machine as busy as it is now. Exit codes: 0 done; 2 usage or configuration.
    """
    from autolrs_cli.experiments.cost.plan import main

    raise typer.Exit(main(list(overrides or ()), steps=steps, as_json=json, started=STARTED))
