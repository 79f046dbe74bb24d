"""`autolrs doctor`: what is right and what is wrong with this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Check this machine: Python, torch, device, memory, disk, bundled data, optional libraries, terminal.

    Each line is ok, a warning or a problem, and says what to do. Exit code: 0, or 1 if there is a problem.

    [bold]Examples[/bold]

      autolrs doctor

      autolrs doctor --json
    """
    from autolrs_cli.commands.diagnose.run import main as run

    raise typer.Exit(run(as_json=as_json))
