"""`autolrs plot`: figures of one run, finished or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.options import expanded


def plot(
    run_dir: Annotated[
        Path, typer.Argument(help="A run directory; the run may still be going on.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures.", show_default="RUN_DIR/plots", callback=expanded),
    ] = None,
) -> None:
    """Draw a run: LRs, losses and metric, and each stage's search, as PNG and SVG.

    [bold]Examples[/bold]

      autolrs plot runs/bert/autolrs/seed0/20261122-101500-1a2b3c4d

      autolrs plot RUN_DIR --out figures

    Several runs side by side: autolrs compare RUN_DIRS --out DIR
    """
    raise typer.Exit(main(run_dir, out=out))


def main(run_dir: Path, *, out: Path | None = None) -> int:
    """Write the figures of `run_dir` and say where they are; return the exit code."""
    from autolrs_cli.errors import AutoLRSError
    from autolrs_cli.exit_codes import ExitCode
    from autolrs_cli.records.run_directory import RunDirectory
    from autolrs_cli.reports.figures.one_run import write_run_figures
    from autolrs_cli.terminal.console import PatientConsole, say, show_error

    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        RunDirectory(run_dir).require_run()
        with errors.status("drawing ..."):
            written = write_run_figures(run_dir, out or run_dir / "plots")
    except AutoLRSError as error:
        return show_error(errors, error)
    for path in written:
        say(console, str(path))
    return ExitCode.DONE
