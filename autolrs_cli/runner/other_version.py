"""Runs made by another version of autolrs: their configurations name classes of ours that are no longer there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any

import orjson

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.journal import read_journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.instantiate import OUR_PACKAGES, targets


def require_same_version(config: Mapping[str, Any], directory: RunDirectory) -> None:
    """Check that everything of ours that a run's configuration names is there.

    Raises:
        ConfigError: naming what is not, the version that made the run, and what to do.
    """
    gone = vanished_targets(config)
    if gone:
        raise ConfigError(
            f"A run can be gone on with or exported by the version of autolrs that made it, but {directory.root} was "
            f"made by {made_by(directory)}, and this one has no {', '.join(gone)}. Use that version for "
            "it (its journal and schedule.csv are read by this one too), or run it again with this one."
        )


def vanished_targets(config: Mapping[str, Any]) -> list[str]:
    """Return the `_target_`s in our packages that name nothing there."""
    ours = (target for target in targets(config) if target.partition(".")[0] in OUR_PACKAGES)
    return [target for target in dict.fromkeys(ours) if not _is_there(target)]


def made_by(directory: RunDirectory) -> str:
    """Return which version made a run, as its summary or its journal says."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = orjson.loads(directory.summary.read_bytes())
        return _named(summary["versions"], summary["code_version"])
    with suppress(OSError, ValueError, KeyError, TypeError, StopIteration):
        (started,) = islice(read_journal(directory.journal), 1)
        return _named(started["versions"], started["code_version"])
    return "a version that it does not name"


def _named(libraries: Mapping[str, str], code: str) -> str:
    return f"autolrs {libraries['autolrs']} (code version {code})"


def _is_there(target: str) -> bool:
    """Tell whether a dotted name leads to something; what is not a name is for others to judge."""
    if not re.fullmatch(r"\w+(\.\w+)+", target):
        return True
    top, *parts = target.split(".")
    found: Any = import_module(top)
    for part in parts:
        if hasattr(found, part):
            found = getattr(found, part)
            continue
        name = f"{found.__name__}.{part}" if isinstance(found, ModuleType) else None
        try:
            found = import_module(name) if name else None
        except ModuleNotFoundError as error:
            return error.name != name  # another module is what it lacks
        except Exception:
            return True  # there, but broken
        if found is None:
            return False
    return True
