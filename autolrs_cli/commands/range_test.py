"""`autolrs range-test`: which LRs a recipe can be trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import OVERRIDES_HELP, expanded


def range_test(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
    lr_min: Annotated[
        float | None,
        typer.Option(
            help="LR of the first step; else a 1,000th of the original schedule's peak.", show_default=False
        ),
    ] = None,
    lr_max: Annotated[
        float | None,
        typer.Option(
            help="LR of the last step; else 100 times the original schedule's peak.", show_default=False
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=20, help="Optimizer steps.")] = 200,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the figure (PNG, SVG) and the points (CSV).",
            show_default=False,
            callback=expanded,
        ),
    ] = None,
) -> None:
    """Train a few steps with an LR that grows from step to step, and propose an interval for the search.

    Where the loss begins to fall, LRs begin to be useful; where it climbs again, they are too high (Smith 2017,
    arXiv 1506.01186). The network is trained from its beginning and thrown away; nothing stays but what --out keeps.

    [bold]Examples[/bold]

      autolrs range-test recipe=resnet50 scale=bench

      autolrs range-test recipe=bert --steps 400 --lr-max 0.1 --out range

    It ends in the overrides to paste. Exit codes: 0 done; 2 usage or configuration, or no interval could be found.
    """
    from autolrs_cli.experiments.range_test.run import main

    raise typer.Exit(main(list(overrides or ()), lr_min=lr_min, lr_max=lr_max, steps=steps, out=out))
