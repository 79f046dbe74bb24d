"""`autolrs train`: one run, or several with Hydra's `-m`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from autolrs_cli.commands.hydra_edge import compose_and_call, given_overrides
from autolrs_cli.dashboard.screen import Screen, Terminal
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.reports.card import closing_card

# Groups that only a searched schedule reads.
SEARCH_GROUP = "search"


def main(overrides: Sequence[str], *, started: float) -> int:
    """Compose the configuration from `overrides`, run it, and return the exit code.

    Args:
        overrides: everything after `autolrs train`, Hydra's flags included.
        started: `time.perf_counter()` when the process began.
    """
    console, errors = Terminal(), Terminal(stderr=True)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        try:
            codes.append(_run(config, started, console))
        except AutoLRSError as error:
            show_error(errors, error)
            codes.append(error.exit_code)

    composed = compose_and_call(job, overrides, errors)
    return max([composed, *codes])


def show_error(console: Console, error: AutoLRSError) -> None:
    """Print an error for a person: its problems, one a line, and no traceback."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    if len(problems) > 1:
        console.print(f"{len(problems)} problems, nothing was started:", style="bold red", markup=False)
    for problem in problems:
        console.print(f"error: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)


def _run(config: DictConfig, started: float, console: Console) -> int:
    from autolrs_cli.runner.checking import check
    from autolrs_cli.runner.execute import execute, open_directory

    plain = _resolve(config)
    with console.status("loading libraries and checking settings and data ..."):
        plan = check(plain)
    directory = open_directory(plan, plain)
    with Screen(plan.settings.dashboard.name, console) as screen:
        result = execute(
            plan,
            plain,
            directory,
            started=started,
            listeners=(screen.show,),
            warnings=_without_effect(plan.settings.schedule["name"]),
        )
    console.print(closing_card(result.summary, result.directory), highlight=False, soft_wrap=True)
    return result.exit_code


def _resolve(config: DictConfig) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"The configuration must resolve, but does not: {error}. Set the key it names."
        ) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _without_effect(schedule: str) -> list[str]:
    """Return a warning for each setting that was given but that this schedule does not read."""
    if schedule == "autolrs":
        return []
    given = [
        o for o in given_overrides() if o.lstrip("+~").startswith((f"{SEARCH_GROUP}=", f"{SEARCH_GROUP}."))
    ]
    return [f"{override} has no effect with schedule={schedule}, which is not searched" for override in given]
