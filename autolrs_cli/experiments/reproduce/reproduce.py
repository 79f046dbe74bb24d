"""The work of `autolrs reproduce`: recipe after recipe, and the table of claims."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console

from autolrs_cli.compose.user_configs import CONFIG_VARIABLE
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.reproduce.arms import CLAIMS
from autolrs_cli.experiments.reproduce.findings import found_before, rebuilt
from autolrs_cli.experiments.reproduce.recipe import RecipeReproduction
from autolrs_cli.experiments.reproduce.request import Only, ReproductionRequest
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.overrides import key_in
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.render import claims_tables
from autolrs_cli.terminal.console import PatientConsole, say, show_error
from autolrs_cli.terminal.formats import duration


def main(request: ReproductionRequest, recipes: Sequence[str], parts: Sequence[Only]) -> int:
    """Carry it out; return the exit code.

    Args:
        request: what was asked for.
        recipes: their names; none: those that the paper makes a claim for.
        parts: the one part of it that is asked for; none: all, but the practical limit.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    chosen = list(dict.fromkeys(recipes)) or list(CLAIMS)
    # Tuned schedules of this reproduction lie with it, and do not replace the person's own.
    os.environ[CONFIG_VARIABLE] = str((request.directory / request.scale / "configs").absolute())
    try:
        only = _the_only(parts)
        if only == "report":
            reproduced = [(rebuilt(request, recipe), True) for recipe in chosen]
        else:
            _require_possible(request)
            made = [RecipeReproduction(request, recipe, console, errors) for recipe in chosen]
            if only is not None:
                return _part(made, only, console)
            _say_cost(made, console)
            reproduced = [each.carry_out() for each in made]
        checks = _with_earlier([check for check, _ in reproduced], request, errors)
        _write(request, chosen, checks)
    except ExperimentStopped as stopped:
        say(console, f"stopped; to go on, type the same again: {request.command_here(chosen)}")
        return stopped.exit_code
    except AutoLRSError as error:
        return show_error(errors, error)
    console.print(claims_tables.render(checks))
    say(console, f"tables, reports and figures: {request.directory / request.scale}")
    return ExitCode.DONE if all(whole for _, whole in reproduced) else ExitCode.FAILED


def _the_only(parts: Sequence[Only]) -> Only | None:
    if len(parts) > 1:
        raise ConfigError(
            f"One part of a reproduction can be asked for at a time, but got --{' --'.join(parts)}. Leave out all but "
            "one."
        )
    return parts[0] if parts else None


def _say_cost(made: Sequence[RecipeReproduction], console: Console, *, again: bool = False) -> None:
    """Print what each recipe costs, and all together; what is begun is timed only if it is asked for."""
    seconds = [each.say_cost(timed=again or not each.begun) for each in made]
    if len(seconds) > 1 and all(seconds):
        say(console, f"together: about {duration(sum(seconds))} at most")


def _part(made: Sequence[RecipeReproduction], only: Only, console: Console) -> ExitCode:
    if only == "hindsight":
        for each in made:  # before the first run of any
            each.require_target()
    if only == "cost":
        _say_cost(made, console, again=True)
        return ExitCode.DONE
    for each in made:
        if only == "calibrate":
            each.calibrate()
        else:
            each.measure_limit()
            say(
                console,
                f"reports of {each.recipe} get it from the same command without --hindsight, or --report",
            )
    return ExitCode.DONE if all(each.whole for each in made) else ExitCode.FAILED


def _require_possible(request: ReproductionRequest) -> None:
    own = [each for each in request.overrides if key_in(each) in ("seed", "scale", "recipe")]
    if own:
        raise ConfigError(
            f"A reproduction chooses recipes, scale and seeds itself, but got {own[0]}. Name recipes as they are, and "
            "give --scale and --seeds."
        )


def _with_earlier(
    checks: Sequence[ClaimCheck], request: ReproductionRequest, errors: Console
) -> list[ClaimCheck]:
    """Return the checks, with those of the paper's recipes that an earlier command made in the same place."""
    own = {check.recipe: check for check in checks}
    earlier = {recipe: _found_before(request, recipe, errors) for recipe in CLAIMS if recipe not in own}
    found = {recipe: own.get(recipe) or earlier.get(recipe) for recipe in [*CLAIMS, *own]}
    return [check for check in found.values() if check is not None]


def _found_before(request: ReproductionRequest, recipe: str, errors: Console) -> ClaimCheck | None:
    try:
        return found_before(request, recipe)
    except ConfigError as error:  # nobody asked for it: the table is made without it
        say(errors, f"{recipe} is left out of the tables: {error}")
        return None


def _write(request: ReproductionRequest, recipes: Sequence[str], checks: Sequence[ClaimCheck]) -> None:
    command = request.command(recipes)
    earlier = [check.recipe for check in checks if check.recipe not in recipes]
    if earlier:
        command += f"; by earlier commands: {', '.join(earlier)}"
    for name, text in (
        ("table.md", claims_tables.as_markdown(checks, command)),
        ("table.csv", claims_tables.as_csv(checks)),
    ):
        write_whole(request.directory / request.scale / name, text)
