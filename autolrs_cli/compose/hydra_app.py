"""The only place that runs Hydra's application: overrides in, a composed configuration out."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from autolrs_cli.compose.byte_order_mark import require_no_mark
from autolrs_cli.compose.hydra_errors import explain, explain_flag, explain_lists
from autolrs_cli.compose.hydra_search_path import register_user_configs
from autolrs_cli.compose.user_configs import user_configs
from autolrs_cli.config_keys import CONFIG_DIR_FLAGS
from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.overrides import is_for_launcher, override_in
from autolrs_cli.terminal.console import show_problem

# Hydra's flags that take no value; whatever follows another flag may be that flag's.
SWITCHES = frozenset({"-m", "--multirun", "-r", "--run", "--resolve", "-h", "--help", "--hydra-help"})

# Hydra's own switch between printing its errors and raising them.
FULL_ERROR = "HYDRA_FULL_ERROR"


class NoMoreJobs(BaseException):
    """Raised by a job to keep Hydra from starting the next; no `Exception`, which Hydra would take for a crash."""


def compose_and_call(job: Callable[[DictConfig], None], overrides: Sequence[str], errors: Console) -> int:
    """Let Hydra parse `overrides`, compose the configuration and call `job` for each run it stands for.

    Args:
        job: called with the composed configuration; must handle the errors that are a person's.
        overrides: Hydra's command line: overrides, `-m`, `--cfg job`, `--info`, `--config-dir` and so on.
        errors: where a composition error goes.

    Returns:
        0, or 2 if the configuration could not be composed. `job` reports its own result.

    Raises:
        Exception: what `job` raised.
    """
    problem = explain_lists(overrides)
    return _compose_and_call(job, overrides, errors) if problem is None else _refuse(problem, errors)


def _compose_and_call(job: Callable[[DictConfig], None], overrides: Sequence[str], errors: Console) -> int:
    stderr, caught = sys.stderr, io.StringIO()
    crashed: list[Exception] = []
    begun: list[DictConfig] = []

    own = [*config_dirs(overrides), str(user_configs())]

    def task(config: DictConfig) -> None:
        require_no_mark(own, HydraConfig.get().runtime.choices)
        # Composition is over: from here on standard error is the person's again, and an exception is our mistake.
        begun.append(config)
        with redirect_stderr(stderr):
            try:
                job(config)
            except Exception as error:
                crashed.append(error)
                raise

    try:
        with _command_line(overrides), redirect_stderr(caught):
            hydra.main(version_base="1.3", config_path="pkg://autolrs_configs", config_name="train")(task)()
    except NoMoreJobs:
        return ExitCode.DONE
    except SystemExit as leaving:
        if leaving.code in (0, None):
            return ExitCode.DONE
        problem = explain_flag(caught.getvalue())
    except Exception as error:
        if crashed:
            raise
        forced = None if begun else _forced(overrides, error)
        if forced:
            return _compose_and_call(job, forced, errors)
        problem = _hidden_line(own, overrides) or explain(error, overrides)
    else:
        return ExitCode.DONE
    return _refuse(problem, errors)


def _hidden_line(own: Sequence[str], overrides: Sequence[str]) -> str | None:
    """Return what is said of files whose byte order mark hides a line from Hydra; None: there are none."""
    given = [
        each for each in map(override_in, overrides) if each is not None and each.is_sweep_override() is False
    ]
    try:
        require_no_mark(own, {each.key_or_group: each.value() for each in given})
    except ConfigError as error:
        return str(error)
    return None


def _refuse(problem: str, errors: Console) -> int:
    show_problem(errors, problem)
    return ExitCode.USAGE


def given_config_dir() -> list[str]:
    """Return the `--config-dir` that the person typed, as arguments; only inside a job."""
    sources = HydraConfig.get().runtime.config_sources
    paths = [source.path for source in sources if source.provider == "command-line"]
    return ["--config-dir", paths[0]] if paths else []


def given_overrides() -> list[str]:
    """Return the overrides that the person typed, but for those of the launcher; only inside a job."""
    return [each for each in HydraConfig.get().overrides.task if not is_for_launcher(each)]


def given_launcher_overrides() -> list[str]:
    """Return the overrides of the launcher that the person typed; only inside a job."""
    return [each for each in HydraConfig.get().overrides.task if is_for_launcher(each)]


def chosen_option(group: str) -> str:
    """Return the name of the option that is chosen of a group; only inside a job."""
    return str(HydraConfig.get().runtime.choices[group])


@contextmanager
def _command_line(overrides: Sequence[str]) -> Iterator[None]:
    """Make `overrides` the process's arguments, and let Hydra raise its errors instead of printing them."""
    # Hydra puts the person's own folder on its search path for YAML; their recipe's Python lies there too.
    argv, path, full_error = sys.argv, list(sys.path), os.environ.get(FULL_ERROR)
    register_user_configs()
    sys.argv = ["autolrs", *_overrides_first(_at_home(overrides))]
    sys.path += config_dirs(overrides)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        os.environ.pop(FULL_ERROR)
        if full_error is not None:
            os.environ[FULL_ERROR] = full_error


def _forced(arguments: Sequence[str], error: Exception) -> list[str] | None:
    """With -m, force the setting that Hydra does not know into the configuration (++KEY=VALUE); None: nothing to force.

    Before it splits a command line into runs, Hydra composes once without the keys that have several values, and then
    there is no recipe.global_batch with recipe=a,b, and no schedule.peak_lr with schedule=sgdr,cosine. A setting that
    is not one in the runs either is found by our own checks.
    """
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown is None or "." not in unknown[1] or not {"-m", "--multirun"} & set(arguments):
        return None
    forced = [f"++{each}" if each.startswith(f"{unknown[1]}=") else each for each in arguments]
    return forced if forced != list(arguments) else None


def _overrides_first(arguments: Sequence[str]) -> list[str]:
    """Move flags behind the overrides: Hydra's parser takes no override after a flag that comes after one."""
    after = zip(("-m", *arguments), arguments, strict=False)
    overrides = [
        "=" in argument
        and not argument.startswith("-")
        and (before in SWITCHES or not before.startswith("-"))
        for before, argument in after
    ]
    # False sorts before True, and equals keep their order.
    pairs = sorted(zip(overrides, arguments, strict=True), key=lambda pair: not pair[0])
    return [argument for _, argument in pairs]


def config_dirs(overrides: Sequence[str]) -> list[str]:
    """Return the folders named with Hydra's `--config-dir` (`-cd`)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # That a folder is named at all is Hydra's to check.
    parser.add_argument(*CONFIG_DIR_FLAGS, nargs="?")
    folder = parser.parse_known_args(_at_home(overrides))[0].config_dir
    return [] if folder is None else [str(Path(folder).resolve())]


def _at_home(arguments: Sequence[str]) -> list[str]:
    """Return the command line with the person's home folder for the `~` of `--config-dir=~/x`."""
    words = []
    for before, word in zip(("", *arguments), arguments, strict=False):
        start = f"{flag}=" if (flag := word.partition("=")[0]) in CONFIG_DIR_FLAGS and "=" in word else ""
        if start or before in CONFIG_DIR_FLAGS:
            # Path.expanduser refuses a home that is not known here; Hydra says that there is no such folder.
            words.append(start + os.path.expanduser(word.removeprefix(start)))  # noqa: PTH111
        else:
            words.append(word)
    return words
