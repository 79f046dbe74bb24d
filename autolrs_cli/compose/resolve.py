"""From what Hydra composed to plain containers, as a run records them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from autolrs_cli.compose.hydra_app import compose_and_call, given_config_dir
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.homes import at_home
from autolrs_cli.overrides import LAUNCHER
from autolrs_cli.runner.path_settings import make_absolute
from autolrs_cli.terminal.console import show_error


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return `config` as plain containers: without its launcher, with the folder that the person's recipe comes from.

    Raises:
        ConfigError: if a value refers to one that is not there.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = error.full_key or "configuration"
        reason = str(error.msg or error).splitlines()[0]
        raise ConfigError(f"`{key}` must resolve to a value, but does not: {reason}. Set {key}.") from error
    assert isinstance(plain, dict)
    folder = given_config_dir()
    if folder and isinstance(plain.get("run"), dict):
        plain["run"]["config_dir"] = folder[-1]
    schedule = plain.get("schedule")
    if isinstance(schedule, dict) and isinstance(schedule.get("run"), str):
        # A run that is resumed or read elsewhere must still find the one that it replays.
        schedule["run"] = str(at_home(schedule["run"], "schedule.run").absolute())
    run = plain.get("run")
    if isinstance(run, dict) and isinstance(run.get("init_from"), str) and run["init_from"]:
        run["init_from"] = str(at_home(run["init_from"], "run.init_from").absolute())
    named = {str(key): value for key, value in plain.items() if key != LAUNCHER}
    make_absolute(named)
    return named


def launcher_in(config: DictConfig) -> dict[str, Any]:
    """Return the settings that say where runs are computed, as plain containers.

    Raises:
        ConfigError: if there are none.
    """
    plain = OmegaConf.to_container(OmegaConf.select(config, LAUNCHER) or OmegaConf.create({}), resolve=True)
    if not isinstance(plain, dict):
        raise ConfigError(f"`{LAUNCHER}` must be a group of settings, but got {plain!r}. Set {LAUNCHER}.")
    return {str(key): value for key, value in plain.items()}


def run_jobs(job: Callable[[dict[str, Any]], None], overrides: Sequence[str], errors: Console) -> int:
    """Compose each configuration that `overrides` stand for and hand it to `job`; return the exit code.

    Args:
        job: may raise `AutoLRSError`, which is shown; the next job then still runs.
        overrides: Hydra's command line.
        errors: where problems go.
    """
    codes: list[int] = []

    def guarded(config: DictConfig) -> None:
        try:
            job(resolve(config))
        except AutoLRSError as error:
            codes.append(show_error(errors, error))

    composed = compose_and_call(guarded, overrides, errors)
    return max([composed, *codes])
