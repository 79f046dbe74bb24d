"""`autolrs compare`: speedups of runs against a baseline, as a table, and as a report with figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import expanded


def compare(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(
            help="Run directories, folders that hold them at any depth, or records.jsonl.gz.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, table.csv, table.md and the figures.",
            show_default=False,
            callback=expanded,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Arm that the others are compared with, by its name in the table, or by its number where they are "
            "listed.",
            show_default="original",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            help="Value of the metric to race for; without it, the runs' own target.", show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare runs that may not be compared, under a banner.")
    ] = False,
) -> None:
    """Compare runs: how much sooner does an arm reach the target than the baseline, search left out and counted?

    Runs that differ only in seed (and, where the schedule decays, in length) are one arm; equal seeds are paired.
    Everything is read from the journals; nothing is trained.

    [bold]Examples[/bold]

      autolrs compare runs/resnet50                          every run below a folder

      autolrs compare runs/bert --out report                 with report.html, tables and figures

      autolrs compare runs/bert --baseline cosine --target 5.7

    Exit codes: 0 done; 2 there is nothing to compare, or the runs may not be compared (--force compares anyway).
    """
    from autolrs_cli.experiments.compare import main

    raise typer.Exit(main(run_dirs, out=out, baseline=baseline, target=target, force=force))
