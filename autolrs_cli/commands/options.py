"""How commands take options of their own and Hydra's overrides on one line, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.config_keys import CONFIG_DIR_FLAGS

# Typer takes out the options that the command declares, wherever they stand; everything else, flags that it does not
# know included, is left in its order as the list of overrides, which goes to Hydra. Declare long options only: Hydra's
# short ones (-m, -cd) would be read letter by letter.
OPTIONS_AND_OVERRIDES: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": True,
}
OVERRIDES_HELP = (
    "Hydra overrides and flags, for example recipe=resnet50 seed=1 schedule=cosine, or --config-dir DIR."
)
SWEEP_HELP = (
    "Hydra overrides; a key may take several values: seed=0,1,2, seed=range(0,5), schedule=choice(a,b)."
)


def expanded(path: Path | None) -> Path | None:
    """Return the path with the person's home folder for `~`, which shells leave as it is in --dir=~/x.

    The callback of every option that takes a path; None: it was left out.
    """
    try:
        return path.expanduser() if path is not None else None
    except RuntimeError:  # the home of somebody who is not known here
        return path


def names_and_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the bare names on a command line, and everything that is for Hydra."""
    names: list[str] = []
    overrides: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        hydras = "=" in word or word.startswith("-") or before in CONFIG_DIR_FLAGS
        (overrides if hydras else names).append(word)
    return names, overrides
