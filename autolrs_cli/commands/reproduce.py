"""`autolrs reproduce`: the paper's table, from nothing to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from autolrs_cli.commands.options import expanded, names_and_overrides


def reproduce(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipes, and Hydra overrides for all of their runs (KEY=VALUE, --config-dir DIR).",
            show_default="resnet50 transformer bert",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Reporting seeds, from 0; below 5 there are no intervals.",
            show_default="5, or the preset's",
        ),
    ] = None,
    scale: Annotated[str, typer.Option(help="The scale of every run.")] = "bench",
    preset: Annotated[
        Literal["evening"] | None,
        typer.Option(
            help="evening: only the original schedule, the same with averaged weights, AutoLRS and the lean search, at "
            "full length, on 3 seeds; nothing is tuned.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    directory: Annotated[
        Path,
        typer.Option(
            "--dir", help="Where everything lies; the same command goes on there.", callback=expanded
        ),
    ] = Path("reproduction"),
    rerun_failed: Annotated[bool, typer.Option("--rerun-failed", help="Begin failed runs again.")] = False,
    rerun_stale: Annotated[
        bool,
        typer.Option("--rerun-stale", help="Do all again whose data have changed since; the old is kept."),
    ] = False,
    cost_only: Annotated[bool, typer.Option("--cost", help="Say what it costs, and run nothing.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Only calibrate the targets, whatever the recipes have; keeps target.yaml."
        ),
    ] = False,
    hindsight: Annotated[
        bool,
        typer.Option(
            "--hindsight",
            help="Only measure the practical limit: the fewest steps to the target that a grid of schedules needs.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder with RECIPE/records.jsonl.gz: runs recorded there, by this code on these data, are done.",
            show_default=False,
            callback=expanded,
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Only rebuild tables and figures, from records.jsonl.gz (of --from, or here)."
        ),
    ] = False,
) -> None:
    """Reproduce the paper's claims, or show where they fail: every arm, over seeds, against a target fixed beforehand.

    For each recipe: calibrate the target on seeds of their own, unless its YAML has one for these data; tune the rivals
    (constant, linear, WSD, anytime, cosine, CLR, SGDR, GreedyLR, schedule-free); run these, the original schedule,
    AutoLRS as published, the lean search, ablations of both, and another seed's schedule replayed; compare, and say
    reproduced, not reproduced, or undecided. All seeds for what is to be decided, three for the rest; decayed schedules
    at full length first, shorter while they reach the target, longer where they miss it.

    It takes hours to days. The same command goes on where it was stopped, and rebuilds every table from the runs. Each
    report has records.jsonl.gz beside it: a few hundred kilobytes from which all can be rebuilt, or gone on elsewhere.

    [bold]Examples[/bold]

      autolrs reproduce --cost                             what it will cost, in runs and steps

      autolrs reproduce bert                               one recipe at scale=bench, against the paper's claim

      autolrs reproduce --scale gpu --preset evening --cost    hours on this GPU, of a part that fits an evening

      autolrs reproduce cancer --config-dir mine           a recipe of your own, for which there is no claim

      autolrs reproduce resnet50 bert --jobs 2 --dir /data/reproduction runtime.threads=1

      autolrs reproduce bert --jobs 9 launcher=slurm launcher.hours=1     its runs on a cluster (or launcher=ray)

      autolrs reproduce bert --hindsight                   what the best schedule of a grid would have needed

      autolrs reproduce bert --from FOLDER --report        tables and figures from FOLDER/bert/records.jsonl.gz alone

    Exit codes: 0 done, whatever the verdict; 1 some runs failed; 2 usage or configuration; 130, 143 interrupted.
    """
    from autolrs_cli.experiments.reproduce.presets import DEFAULT_SEEDS, PRESETS
    from autolrs_cli.experiments.reproduce.reproduce import main
    from autolrs_cli.experiments.reproduce.request import Only, ReproductionRequest
    from autolrs_cli.overrides import is_for_launcher

    parts: dict[Only, bool] = {
        "cost": cost_only,
        "calibrate": calibrate,
        "hindsight": hindsight,
        "report": report,
    }
    names, overrides = names_and_overrides(recipes or [])
    chosen = PRESETS[preset] if preset else None
    seeds = seeds or (chosen.seeds if chosen else DEFAULT_SEEDS)
    request = ReproductionRequest(
        seeds=tuple(range(seeds)),
        scale=scale,
        jobs=jobs,
        directory=directory,
        overrides=tuple(each for each in overrides if not is_for_launcher(each)),
        rerun_failed=rerun_failed,
        calibrate=calibrate,
        rerun_stale=rerun_stale,
        source=source,
        launcher_overrides=tuple(each for each in overrides if is_for_launcher(each)),
        preset=chosen,
    )
    raise typer.Exit(main(request, names, [part for part, wanted in parts.items() if wanted]))
