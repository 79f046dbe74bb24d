"""`autolrs data prepare`, `check` and `show`: a recipe's data, without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autolrs_cli.compose.resolve import run_jobs
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.settings import RunSettings, Settings, parse
from autolrs_cli.terminal.console import PatientConsole, say

if TYPE_CHECKING:
    from pathlib import Path

    from autolrs_cli.contracts import Batch, Recipe, Report


def prepare(overrides: Sequence[str]) -> int:
    """Make the data ready that the configuration asks for; return the exit code."""
    return _with_recipe(overrides)


def check(overrides: Sequence[str], *, full: bool) -> int:
    """Make the data ready, read a batch of every stream, and say what is in them; return the exit code.

    Args:
        overrides: Hydra's command line.
        full: read all of the data.
    """
    return _with_recipe(overrides, read_batches=True, full=full)


def _with_recipe(overrides: Sequence[str], *, read_batches: bool = False, full: bool = False) -> int:
    console, errors = PatientConsole(), PatientConsole(stderr=True)

    def job(config: dict[str, Any]) -> None:
        from autolrs_cli.runner.config_outline import require_shape
        from autolrs_cli.runner.plan import build_recipe
        from autolrs_cli.runner.preparation import prepare_data

        with console.status("checking settings and data ..."):
            require_shape(config)
            run = parse(RunSettings, config["run"], "run")
            recipe = build_recipe(config)
        with PreparationProgress(console) as progress:
            prepare_data(recipe, progress)
            verified = _verified(recipe, progress) if full else ()
        lines = [*_summary(recipe), *verified, *(_batches(recipe, run.max_steps) if read_batches else ())]
        for line in lines:
            say(console, line)

    return run_jobs(job, overrides, errors)


def show(overrides: Sequence[str], *, out: Path | None, count: int | None) -> int:
    """Show what the first steps of each phase train on; return the exit code.

    Args:
        overrides: Hydra's command line.
        out: the file to write; None: text goes to standard output, pictures to a file in the current folder.
        count: examples of each phase; None: a sheet of pictures, a few texts.
    """
    from autolrs_cli.commands.shown_data import refuse_unusable, shown, write_out

    console, errors = PatientConsole(), PatientConsole(stderr=True)

    def job(config: dict[str, Any]) -> None:
        from autolrs_cli.runner.config_outline import require_shape
        from autolrs_cli.runner.plan import build_recipe
        from autolrs_cli.runner.preparation import prepare_data

        refuse_unusable(out)
        with errors.status("checking settings and data ..."):
            require_shape(config)
            settings = parse(Settings, config)
            recipe = build_recipe(config)
        with PreparationProgress(errors) as progress:
            prepare_data(recipe, progress)
        write_out(shown(recipe, settings.run.max_steps, settings.seed, count), out, console)

    return run_jobs(job, overrides, errors)


def _verified(recipe: Recipe, report: Report) -> Sequence[str]:
    from autolrs_cli.contracts import Verifiable

    if isinstance(recipe, Verifiable):
        return [f"  {recipe.verify(report)}"]
    return [f"  the recipe {recipe.name} has no `verify` method that looks at more"]


def _summary(recipe: Recipe) -> Iterator[str]:
    description = recipe.describe()
    yield f"{recipe.name}: {description.data}"
    if description.sizes:
        yield "  " + ", ".join(f"{name} {size:,}" for name, size in description.sizes.items())
    yield f"  fingerprint {recipe.fingerprint()}; ready"


def _batches(recipe: Recipe, max_steps: int) -> Iterator[str]:
    """Describe the first batch of each stream (of seed 0), read exactly as training reads it."""
    from autolrs_cli.contracts import Position

    for index, phase in enumerate(recipe.phases(max_steps)):
        stream = recipe.train_stream(index, 0)
        batch = stream.batch(Position(index, 0, 0))
        yield (
            f"phase {phase.name}: {phase.steps:,} steps of {phase.global_batch:,}, "
            f"micro-batches per step: {stream.micro_batches}; "
            f"the first has {recipe.examples(batch):,} {recipe.example_unit}: {_shapes(batch)}"
        )
    splits = ("choose", "target")
    for split, purpose in zip(splits, ("chooses LRs", "decides targets"), strict=True):
        held_out = recipe.eval_stream(split)  # type: ignore[arg-type]
        batch = held_out.batch(0)
        yield f"{split} ({purpose}): batches: {held_out.num_batches:,}; the first: {_shapes(batch)}"


def _shapes(batch: Batch) -> str:
    parts = (f"{name} {list(tensor.shape)}" for name, tensor in batch.items())
    return ", ".join(parts)
