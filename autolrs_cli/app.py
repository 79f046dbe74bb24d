"""`autolrs`: the command line. Nothing here imports torch or Hydra; commands do, when they run."""

from __future__ import annotations

import io
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from autolrs_cli.commands.compare import compare
from autolrs_cli.commands.completion import completion
from autolrs_cli.commands.doctor import doctor
from autolrs_cli.commands.help_text import Command
from autolrs_cli.commands.options import OPTIONS_AND_OVERRIDES, expanded
from autolrs_cli.commands.plan import plan
from autolrs_cli.commands.plot import plot
from autolrs_cli.commands.range_test import range_test
from autolrs_cli.commands.reproduce import reproduce
from autolrs_cli.commands.sweep import sweep
from autolrs_cli.commands.tune import tune
from autolrs_cli.commands.watch import watch
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.own_process import stop_with_the_watcher
from autolrs_cli.signals import keep_interrupts

STARTED = time.perf_counter()
OVERRIDES_HELP = (
    "Hydra overrides and flags, for example recipe=resnet50 seed=1 schedule=cosine, or --cfg job."
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


@app.command(cls=Command, context_settings=RAW_TAIL)
def train(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
) -> None:
    """Train one recipe under one LR schedule, and record everything.

    [bold]Examples[/bold]

      autolrs train recipe=resnet50                          its LR searched, on bundled data

      autolrs train recipe=transformer schedule=original     under its paper's schedule

      autolrs train recipe=bert scale=bench seed=1           a small stand-in, for statistics over seeds

      autolrs train recipe=resnet50 search=paper search.num_trials=6 search.lr_max=0.5

      autolrs train recipe=resnet50 data=image_folder data.root=PATH scale=gpu

      autolrs train recipe=resnet50 --cfg job                show the composed configuration

    [bold]What to choose[/bold]

      recipe=resnet50|transformer|bert   scale=tiny|demo|bench|gpu|paper

      search=lean|paper|code|last_losses   average=none|ema|tail

      schedule=autolrs|original|random|replay|constant|step|linear|cosine|sgdr|...

      dashboard=live|plain|none   tracker=none|tensorboard|mlflow|wandb

      All there is, data included: autolrs list

    Hydra's flags work: -m, --cfg job, --info, --config-dir. Exit codes: 0 done; 1 failed while running;
    2 usage or configuration; 130, 143 interrupted; 75 stopped by runtime.max_seconds.
    """
    _share_cores_politely()
    from autolrs_cli.commands.train import main as run

    raise typer.Exit(run(list(overrides or ()), started=STARTED))


@app.command(cls=Command)
def resume(
    run_dir: Annotated[Path, typer.Argument(help="The run directory, named by the run's closing card.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(help="KEY=VALUE of settings that cannot change results, for example dashboard=plain."),
    ] = None,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(
            help="A harmless key of config.yaml that was edited; may be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """Go on exactly where a run stopped, in the middle of a search too: killed, interrupted, or out of time.

    On the same machine with the same libraries the result is bit for bit that of a run that was never stopped. What
    has changed since is named; changed settings or data are refused.

    [bold]Examples[/bold]

      autolrs resume runs/bert/autolrs/seed0/20261122-101500-1a2b3c4d

      autolrs resume RUN_DIR runtime.max_seconds=3600 dashboard=plain
    """
    _share_cores_politely()
    from autolrs_cli.commands.resume import main as run

    raise typer.Exit(run(run_dir, changes or [], allow_change or [], started=STARTED))


@app.command(cls=Command)
def export(
    run_dir: Annotated[Path, typer.Argument(help="The run directory, named by the run's closing card.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
) -> None:
    """Write a trained model so that transformers or torchvision loads it, with the LR of every step beside it.

    What decided the run's quality is exported: the averaged weights under average=ema or tail, the mean of the last
    checkpoints where the recipe is judged by that (transformer), else the final weights.

    [bold]Example[/bold]

      autolrs export runs/bert/autolrs/seed0/20261122-101500-1a2b3c4d my-bert
    """
    from autolrs_cli.commands.export import main as run

    raise typer.Exit(run(run_dir, folder))


@app.command("list", cls=Command)
def list_(
    group: Annotated[
        str | None, typer.Argument(help="One group, for example data; all if left out.", show_default=False)
    ] = None,
    config_dir: Annotated[
        Path | None,
        typer.Option(
            "--config-dir", help="Show your own configurations too.", show_default=False, callback=expanded
        ),
    ] = None,
) -> None:
    """Show what there is to choose from: recipes with their data, target and cost; data, schedules, searches, ...

    [bold]Examples[/bold]

      autolrs list

      autolrs list data
    """
    from autolrs_cli.commands.listing import main as run

    raise typer.Exit(run(group, config_dir))


app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)(sweep)
app.command(cls=Command)(compare)
app.command(cls=Command)(plot)
app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)(plan)
app.command("range-test", cls=Command, context_settings=OPTIONS_AND_OVERRIDES)(range_test)
app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)(tune)
app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)(reproduce)
app.command(cls=Command)(watch)
app.command(cls=Command)(doctor)
app.command(cls=Command)(completion)

data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings=HELP,
    help="Prepare, check and show a recipe's data.",
)
app.add_typer(data_app, name="data")


@data_app.command(cls=Command, context_settings=RAW_TAIL)
def prepare(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
) -> None:
    """Make a recipe's data ready (tokenizer, token tables), which training would otherwise do first.

    Nothing is made twice: what is ready lies in $AUTOLRS_CACHE_DIR, else in the user's cache folder.

    [bold]Examples[/bold]

      autolrs data prepare recipe=bert

      autolrs data prepare recipe=transformer data=wmt14 data.name=wmt/wmt14 scale=paper
    """
    from autolrs_cli.commands.data import prepare as run

    raise typer.Exit(run(list(overrides or ())))


@data_app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)
def check(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read all of the data, not only what a run's start looks at.")
    ] = False,
) -> None:
    r"""Check a recipe's settings and data, make the data ready, and show what a batch of each stream holds.

    [bold]Examples[/bold]

      autolrs data check recipe=resnet50 data=image_folder data.root=PATH

      autolrs data check recipe=bert data=text_files data.files=\[mine.txt]

      autolrs data check --full recipe=resnet50 data=image_folder data.root=PATH      decode and hash every image
    """
    from autolrs_cli.commands.data import check as run

    raise typer.Exit(run(list(overrides or ()), full=full))


@data_app.command(cls=Command, context_settings=OPTIONS_AND_OVERRIDES)
def show(
    overrides: Annotated[list[str] | None, typer.Argument(help=OVERRIDES_HELP, show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write: PNG for pictures, else text.",
            show_default="text: none; pictures: data-RECIPE.png",
            callback=expanded,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Examples of each phase of the run.",
            show_default="64 pictures, 4 texts",
        ),
    ] = None,
) -> None:
    """Show what a recipe really trains on: augmented images, masked sequences, sentences with their tokens.

    These are the batches of a run with the same seed, from step 0 on. Text goes to the terminal, pictures to a file.

    [bold]Examples[/bold]

      autolrs data show recipe=resnet50 data=glyphs --out sheet.png

      autolrs data show recipe=bert seed=1 --count 2
    """
    from autolrs_cli.commands.data import show as run

    raise typer.Exit(run(list(overrides or ()), out=out, count=count))


def _share_cores_politely() -> None:
    """Let torch's threads wait for each other by sleeping sooner than GNU OpenMP's default.

    They spin for milliseconds by default, which on a core that another process wants makes a step of ResNet-50
    3 to 8 times as slow; spinning for 5,000 rounds was as fast on quiet cores and 2.5 times as fast on busy ones
    (measured on 2 cores). Read when torch is imported; results do not depend on it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def _refuse_windows() -> None:
    """End the process on Windows, before a command imports what is not there (fcntl, termios, resource)."""
    if sys.platform in ("win32", "cygwin"):
        sys.stderr.write(
            "autolrs needs the file locks, signals and terminals of a POSIX system, but this is Windows. Install it in "
            "WSL, the Linux that comes with Windows (in PowerShell: wsl --install), and run it there.\n"
        )
        sys.exit(ExitCode.USAGE)


def main() -> None:
    """Run the command line."""
    _refuse_windows()
    keep_interrupts()
    stop_with_the_watcher()
    for stream in (sys.stdout, sys.stderr):
        # A path that the terminal's encoding cannot show must not end a run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(ExitCode.SIGINT)
