"""Compose and run in this process, the way `autolrs train` does."""

from __future__ import annotations

import copy
import functools
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from autolrs_cli.records.journal import read_journal
from autolrs_cli.runner.execute import Result, execute, open_directory
from autolrs_cli.runner.plan import Plan, check

USER = Path(__file__).parent / "user"


def composed(*overrides: str) -> dict[str, Any]:
    """Return the resolved configuration of `autolrs train OVERRIDES`, with the user's folder on the search path."""
    return copy.deepcopy(_composed(overrides))


@functools.cache  # no file of either tree changes, and none refers to what lies outside
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    with initialize_config_module("autolrs_configs", version_base="1.3"):
        config = compose("train", [*overrides, f"hydra.searchpath=[file://{USER}]"])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    del plain["launcher"]  # as `resolve` does
    return {str(key): value for key, value in plain.items()}


def planned(*overrides: str) -> Plan:
    """Return the checked plan of `autolrs train OVERRIDES`."""
    return check(composed(*overrides))


def run(directory: Path, *overrides: str) -> Result:
    """Run `autolrs train OVERRIDES run.dir=DIRECTORY` to its end."""
    config = composed(*overrides)
    config["run"]["dir"] = str(directory)
    plan = check(config)
    return execute(plan, config, open_directory(plan, config), started=time.perf_counter())


def toy(directory: Path, *overrides: str) -> Result:
    """Run the toy recipe."""
    return run(directory, "recipe=toy", *overrides)


def events(directory: Path, *names: str) -> list[dict[str, Any]]:
    """Return the journal's records, or those of the named events."""
    return [r for r in read_journal(directory / "journal.jsonl") if not names or r["event"] in names]


def weights(directory: Path) -> dict[str, Tensor]:
    """Return the final weights of a run."""
    return load_file(directory / "model.safetensors")


def assert_equal_weights(one: Path, other: Path) -> None:
    """Fail unless two runs ended with the same weights, bit for bit."""
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    different = [name for name in a if not a[name].equal(b[name])]
    assert not different, f"different tensors: {different}"


GOLDEN_OVERRIDES = {
    "autolrs": ("search.num_random_trials=3",),
    **dict.fromkeys(
        (
            "clr",
            "constant",
            "cosine",
            "greedy",
            "inverse_square_root",
            "inverse_square_root_anytime",
            "linear",
            "one_cycle",
            "original",
            "plateau",
            "polynomial",
            "random",
            "sgdr",
            "step",
            "wsd",
        ),
        (),
    ),
}


def golden_losses(directory: Path, schedule: str) -> list[float]:
    """Return every loss of a toy run: of each step of each trial, and of each kept step."""
    toy(directory, f"schedule={schedule}", *GOLDEN_OVERRIDES[schedule])
    return [r["loss"] for r in events(directory, "step", "trial_step")]
