"""What the scripts here train: a configuration as `autolrs train` composes it, with its data ready."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.runner.torch_runtime import prepare


def config_of(*overrides: str) -> dict[str, Any]:
    """Compose `autolrs train OVERRIDES`, all in plain containers."""
    with initialize_config_module("autolrs_configs", version_base="1.3"):
        found: Any = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    return {key: value for key, value in found.items() if key != "launcher"}


def plan_of(*overrides: str) -> Plan:
    """Check `autolrs train OVERRIDES`, prepare its data, and set torch up as the run would."""
    plan = check(config_of(*overrides))
    prepare_data(plan.recipe)
    prepare(plan.settings.runtime, plan.threads)
    return plan
