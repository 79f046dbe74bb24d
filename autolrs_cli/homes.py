"""Where a person's own files lie, also where nobody knows of a home folder, as in a container with a bare user id."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from autolrs_cli.errors import ConfigError

# A folder that is not there, and that nobody can make: who must write is told so, and which variable to set.
HOMELESS = Path(os.devnull) / "HOME-is-not-set"


def user_folder(find: Callable[..., Path]) -> Path:
    """Return the folder that the system keeps for autolrs, which need not be there.

    Args:
        find: `user_cache_path` or `user_config_path` of platformdirs.
    """
    try:
        folder = find("autolrs", appauthor=False)
    except RuntimeError:  # neither $HOME nor an entry for this user
        return HOMELESS
    return folder if folder.is_absolute() else HOMELESS  # earlier versions of platformdirs answer ~/.cache


def at_home(given: str, key: str) -> Path:
    """Return a path with the home folder for its `~`.

    Args:
        given: what a person wrote.
        key: where: `run.dir`.

    Raises:
        ConfigError: if no home folder is known.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"`{key}` must be a path that is known here, but no home folder is known for {Path(given).parts[0]} of "
            f"{key}={given}. Write the whole path."
        ) from error
