"""The only place that runs Hydra's application: overrides in, a composed configuration out."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

USAGE = 2
# What Hydra adds to its messages for its own developers.
NOISE = re.compile(
    r"\n*Set the environment variable HYDRA_FULL_ERROR=1.*|\n?Config search path:(\n\t.*)*", re.DOTALL
)


def compose_and_call(job: Callable[[DictConfig], None], overrides: Sequence[str], errors: Console) -> int:
    """Let Hydra parse `overrides`, compose the configuration and call `job` for each run it stands for.

    Args:
        job: called with the composed configuration; must handle its own errors.
        overrides: Hydra's command line: overrides, `-m`, `--cfg job`, `--info`, `--config-dir` and so on.
        errors: where a composition error goes.

    Returns:
        0, or 2 if the configuration could not be composed. `job` reports its own result.
    """
    stderr, caught = sys.stderr, io.StringIO()

    def task(config: DictConfig) -> None:
        # Composition is over: from here on standard error is the person's again.
        with redirect_stderr(stderr):
            job(config)

    argv, path = sys.argv, list(sys.path)
    sys.argv = ["autolrs", *overrides]
    # Hydra puts the person's own folder on its search path for YAML; their recipe's Python lies there too.
    sys.path += _config_dirs(overrides)
    try:
        with redirect_stderr(caught):
            hydra.main(version_base="1.3", config_path="pkg://autolrs_configs", config_name="train")(task)()
    except SystemExit as leaving:
        if leaving.code in (0, None):
            return 0
        errors.print(
            f"error: {_explain(caught.getvalue())}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return USAGE
    finally:
        sys.argv, sys.path[:] = argv, path
    return 0


def given_overrides() -> list[str]:
    """Return the overrides that the person typed; only inside a job."""
    return list(HydraConfig.get().overrides.task)


def _config_dirs(overrides: Sequence[str]) -> list[str]:
    """Return the folders named with Hydra's `--config-dir` (`-cd`)."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(list(overrides))[0].config_dir
    return [] if folder is None else [str(Path(folder).resolve())]


def _explain(message: str) -> str:
    """Turn Hydra's message into ours: what is wrong, what there is, what to do."""
    text = NOISE.sub("", message).strip()
    if text.startswith("You must specify 'recipe'"):
        return (
            "`recipe` must be chosen, but none was given. "
            f"Type: autolrs train recipe=NAME, with NAME one of{_options(text)}"
        )
    unknown = re.search(r"Could not find '([^']+)/([^'/]+)'", text)
    if unknown:
        group, option = unknown.groups()
        return (
            f"`{group}` must be one of the known options, but got {group}={option}. "
            f"Set {group} to one of{_options(text)}"
        )
    key = re.search(r"Could not override '([^']+)'", text)
    if key:
        return (
            f"`{key[1]}` must be a known setting, but it is not one. "
            "To see what there is: autolrs train recipe=NAME --cfg job"
        )
    return text


def _options(text: str) -> str:
    listed = text.partition("vailable options")[2].partition(":")[2] or text
    return ": " + ", ".join(line.strip() for line in listed.splitlines() if line.startswith("\t"))
