"""`autolrs`: the command line. Nothing here imports torch or Hydra; commands do, when they run."""

from __future__ import annotations

import io
import os
import sys
import time
from importlib.metadata import version
from typing import Annotated

import typer

STARTED = time.perf_counter()
OVERRIDES_HELP = (
    "Hydra overrides and flags, for example recipe=resnet50 seed=1 search.lr_max=0.5, or --cfg job."
)
HELP = {"help_option_names": ["-h", "--help"]}
RAW_TAIL = {
    **HELP,
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}

app = typer.Typer(
    name="autolrs",
    epilog="Start with: autolrs train recipe=resnet50",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=HELP,
)


@app.callback(invoke_without_command=True)
def autolrs(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Find out whether a learning-rate schedule really trains your network faster, searched or hand-made."""
    if show_version:
        typer.echo(version("autolrs"))
        raise typer.Exit


@app.command(context_settings=RAW_TAIL)
def train(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
) -> None:
    """Train one recipe under one LR schedule, and record everything.

    [bold]Examples[/bold]

      autolrs train recipe=resnet50                          under AutoLRS, on bundled data

      autolrs train recipe=resnet50 schedule=original        under its paper's schedule

      autolrs train recipe=resnet50 search.num_trials=6 search.lr_max=0.5

      autolrs train recipe=resnet50 data=image_folder data.root=PATH scale=gpu

      autolrs train recipe=resnet50 --cfg job                show the composed configuration

    [bold]What to choose[/bold]

      recipe=resnet50   schedule=autolrs|original|constant   search=paper|code

      scale=tiny|demo|bench|gpu|paper   data=digits|image_folder   dashboard=live|plain|none

    Hydra's flags work: -m, --cfg job, --info, --config-dir. Exit codes: 0 done; 1 failed while running;
    2 usage or configuration; 130, 143 interrupted; 75 stopped by runtime.max_seconds.
    """
    _share_cores_politely()
    from autolrs_cli.commands.train import main as run

    raise typer.Exit(run(list(overrides or ()), started=STARTED))


def _share_cores_politely() -> None:
    """Let torch's threads wait for each other by sleeping sooner than GNU OpenMP's default.

    They spin for milliseconds by default, which on a core that another process wants makes a step of ResNet-50
    3 to 8 times as slow; spinning for 5,000 rounds was as fast on quiet cores and 2.5 times as fast on busy ones
    (measured on 2 cores). Read when torch is imported; results do not depend on it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A path that the terminal's encoding cannot show must not end a run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
