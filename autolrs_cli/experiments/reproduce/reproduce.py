"""The work of `autolrs reproduce`: recipe after recipe, and the table of claims."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from autolrs_cli.compose.user_configs import CONFIG_VARIABLE
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.reproduce import arms as reproduction
from autolrs_cli.experiments.reproduce.recipe import RecipeReproduction
from autolrs_cli.experiments.reproduce.request import ReproductionRequest, base_of
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.overrides import key_in
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.render import claims_tables
from autolrs_cli.terminal.console import PatientConsole, say, show_error


def main(
    recipes: Sequence[str],
    overrides: Sequence[str],
    *,
    seeds: int,
    scale: str,
    jobs: int,
    directory: Path,
    rerun_failed: bool,
    cost_only: bool,
    calibrate: bool,
    rerun_stale: bool = False,
) -> int:
    """Carry it out; return the exit code.

    Args:
        recipes: their names; none: those that the paper makes a claim for.
        overrides: for every run of every recipe.
        seeds: how many reporting seeds.
        scale: of every run.
        jobs: runs at once.
        directory: where everything lies.
        rerun_failed: begin failed runs again.
        cost_only: say what it costs, and run nothing.
        calibrate: calibrate the targets, and do nothing else.
        rerun_stale: do all again that was done with data that have changed since.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    request = ReproductionRequest(
        tuple(range(seeds)), scale, jobs, directory, tuple(overrides), rerun_failed, calibrate, rerun_stale
    )
    chosen = list(dict.fromkeys(recipes)) or list(reproduction.CLAIMS)
    # Tuned schedules of this reproduction lie with it, and do not replace the person's own.
    os.environ[CONFIG_VARIABLE] = str((directory / scale / "configs").absolute())
    try:
        _require_possible(request)
        bases = [base_of(request, recipe, errors) for recipe in chosen]
        recipes_ = [RecipeReproduction(request, base, console, errors) for base in bases]
        if calibrate:
            for each in recipes_:
                each.calibrate()
            return ExitCode.DONE
        for each in recipes_:
            each.say_cost(timed=cost_only or not each.begun)
        if cost_only:
            return ExitCode.DONE
        reproduced = [each.carry_out() for each in recipes_]
        checks = [check for check, _ in reproduced]
        _write(request, chosen, checks)
    except ExperimentStopped as stopped:
        say(console, f"stopped; to go on, type the same again: {request.command_here(chosen)}")
        return stopped.exit_code
    except AutoLRSError as error:
        return show_error(errors, error)
    console.print(claims_tables.render(checks))
    say(console, f"tables, reports and figures: {request.directory / request.scale}")
    return ExitCode.DONE if all(whole for _, whole in reproduced) else ExitCode.FAILED


def _require_possible(request: ReproductionRequest) -> None:
    own = [each for each in request.overrides if key_in(each) in ("seed", "scale", "recipe")]
    if own:
        raise ConfigError(
            f"A reproduction chooses recipes, scale and seeds itself, but got {own[0]}. Name recipes as they are, and "
            "give --scale and --seeds."
        )
    if request.jobs > 1 and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        raise ConfigError(
            f"Runs at once need Hydra's joblib launcher, but it is not installed and got --jobs {request.jobs}. "
            "Install it with pip install 'autolrs[joblib]', or leave --jobs out."
        )


def _write(request: ReproductionRequest, recipes: Sequence[str], checks: Sequence[ClaimCheck]) -> None:
    command = request.command(recipes)
    for name, text in (
        ("table.md", claims_tables.as_markdown(checks, command)),
        ("table.csv", claims_tables.as_csv(checks)),
    ):
        write_whole(request.directory / request.scale / name, text)
