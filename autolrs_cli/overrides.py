"""Hydra's overrides on a command line, one by one, as Hydra reads them."""

from __future__ import annotations

import functools

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

LAUNCHER = "launcher"
"""The group that says where runs are computed: never part of a run."""


def override_in(word: str) -> Override | None:
    """Return the override that a word of a command line is; None: a flag, its value, or what Hydra cannot read.

    What it cannot read is told to the person when the configuration is composed.
    """
    try:
        return _parser().parse_override(word)
    except HydraException:
        return None


def key_in(word: str) -> str:
    """Return the key or group that a word of a command line sets, adds or deletes; empty if it is not an override."""
    found = override_in(word)
    return found.key_or_group if found is not None else ""


def is_for_launcher(word: str) -> bool:
    """Return whether a word of a command line says where runs are computed, not what they are."""
    return key_in(word).partition(".")[0] == LAUNCHER


@functools.cache
def _parser() -> OverridesParser:
    return OverridesParser.create()
