"""`autolrs watch`: the live view of runs from their journals, from another process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autolrs_cli.dashboard.watched import WatchedRun


def watch(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN_DIR]...",
            help="Run directories, or folders that hold some; runs/ if left out.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing what happens; Ctrl-C leaves.")
    ] = False,
) -> None:
    """Look at a run from its journal: running, finished, or killed; several give a table, one line each.

    Nothing is written there, and a running run does not notice. Without --follow, one frame is printed. With it, keys
    open a run of the table: up, down or its number, then Enter; Esc or q goes back.

    [bold]Examples[/bold]

      autolrs watch runs/bert/autolrs/seed0/20261122-101500-1a2b3c4d --follow

      autolrs watch runs                           all runs in a folder, for example a sweep's

      autolrs watch RUN_DIR | less                 plain text
    """
    raise typer.Exit(main(places or [Path("runs")], follow=follow))


def main(places: Sequence[Path], *, follow: bool) -> int:
    """Show runs; return the exit code.

    Args:
        places: run directories, or folders that hold some.
        follow: until they end, instead of once.
    """
    from autolrs_cli.dashboard.viewer import Viewer
    from autolrs_cli.dashboard.watched import WatchedRun
    from autolrs_cli.errors import ConfigError
    from autolrs_cli.exit_codes import ExitCode
    from autolrs_cli.terminal.console import PatientConsole, show_error

    try:
        runs = [WatchedRun(root) for root in _found(places)]
    except ConfigError as error:
        return show_error(PatientConsole(stderr=True), error)
    single = len(runs) == 1 and runs[0].directory.root in places
    viewer = Viewer(runs, PatientConsole(), lambda known: _more(places, known), single=single)
    with suppress(KeyboardInterrupt):  # the way to leave
        viewer.follow() if follow else viewer.show()
    return ExitCode.DONE


def _found(places: Sequence[Path]) -> list[Path]:
    """Return the runs at `places`.

    Raises:
        ConfigError: if a place holds none.
    """
    from autolrs_cli.dashboard.watched import find_runs
    from autolrs_cli.errors import ConfigError

    without = [
        f"A run directory, or a folder that holds some, must be given, but {place} "
        f"{'holds no run' if place.exists() else 'does not exist'}. "
        "The first lines and the closing card of a run name its directory."
        for place in places
        if not find_runs([place])
    ]
    if without:
        raise ConfigError(without)
    return find_runs(places)


def _more(places: Sequence[Path], known: Sequence[WatchedRun]) -> list[WatchedRun]:
    from autolrs_cli.dashboard.watched import WatchedRun, find_runs

    roots = {run.directory.root for run in known}
    return [WatchedRun(root) for root in find_runs(places) if root not in roots]
