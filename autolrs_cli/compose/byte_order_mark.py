"""Configurations of one's own that begin with a byte order mark, behind which Hydra does not see `# @package`."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.errors import ConfigError

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def require_no_mark(folders: Sequence[str], choices: Mapping[str, Any]) -> None:
    """Check the files that were chosen.

    Args:
        folders: a person's own.
        choices: group -> option, as Hydra names them.

    Raises:
        ConfigError: naming those that begin with a mark.
    """
    marked = [path for path in _chosen(folders, choices) if _begins_with_mark(path)]
    if marked:
        raise ConfigError(
            f"A configuration must begin with its text, but {', '.join(map(str, marked))} begins with a byte order "
            "mark (BOM), which hides its first line, such as `# @package _global_`. Save it as UTF-8 without BOM."
        )


def _chosen(folders: Sequence[str], choices: Mapping[str, Any]) -> Iterator[Path]:
    for group, options in choices.items():
        for option in options if isinstance(options, list | tuple) else [options]:
            name = f"{group.lstrip('+~').partition('@')[0]}/{str(option).removesuffix('.yaml')}.yaml"
            yield from (Path(folder, name) for folder in folders)


def _begins_with_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(codecs.BOM_UTF8)).startswith(_MARKS)
    except (OSError, ValueError):
        return False
