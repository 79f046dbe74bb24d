"""How settings are named: dotted keys (`run.max_steps`), and where more of them lie."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

CONFIG_DIR_FLAGS = ("--config-dir", "-cd")
"""Hydra's, for the folder of a person's own configurations."""
PATH_KEYS = ("run.dir", "schedule.run")
"""Settings of every recipe that name a folder."""


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values in nested mappings, each under its dotted key; what is not a mapping itself, under `prefix`."""
    if not isinstance(node, Mapping):
        return {prefix: node}
    return {
        key: value
        for name, part in node.items()
        for key, value in flat(part, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def lies_below(key: str, groups: Iterable[str]) -> bool:
    """Return whether a dotted key is one of `groups` or lies in one."""
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def without(node: Any, keys: Collection[str], prefix: str = "") -> Any:
    """Return nested settings without those of some dotted keys."""
    if not isinstance(node, Mapping):
        return node
    return {k: without(v, keys, f"{prefix}{k}.") for k, v in node.items() if f"{prefix}{k}" not in keys}


def batch_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe's settings that say how much a step sees; micro-batches and evaluation are none of them."""
    return {k: v for k, v in config["recipe"].items() if "batch" in k and not k.startswith(("micro", "eval"))}
