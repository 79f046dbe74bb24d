"""`autolrs doctor`: what is right and what is wrong with this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import expanded


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    shared: Annotated[
        Path | None,
        typer.Option(
            help="Check only this folder: locks, renaming and fsync, as two processes or machines see them.",
            show_default=False,
            callback=expanded,
        ),
    ] = None,
) -> None:
    """Check this machine: Python, torch, device, memory, disk, bundled data, optional libraries, terminal.

    Each line is ok, a warning or a problem, and says what to do. Exit code: 0, or 1 if there is a problem.

    [bold]Examples[/bold]

      autolrs doctor

      autolrs doctor --json

      autolrs doctor --shared /scratch/me                     a disk for runs on a cluster

      srun --nodes=2 --ntasks=2 autolrs doctor --shared DIR   the same, from two machines
    """
    from autolrs_cli.commands.diagnose.run import main as run

    raise typer.Exit(run(as_json=as_json, directory=shared))
