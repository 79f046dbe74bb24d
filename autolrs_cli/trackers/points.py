"""What trackers draw, from the journal's records: curves on two axes, kept steps and search steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autolrs_cli.config_keys import flat

Record = Mapping[str, Any]
Axis = Literal["kept", "search"]
KEPT = ("step", "eval")
SEARCH = ("trial_step", "trial_finished", "lr_chosen")
# Records that say how the run stands; all others are of no interest to a tracker.
COURSE = (
    "run_started",
    "resumed",
    "rolled_back",
    "stage_started",
    "interrupted",
    "run_finished",
)
WANTED = frozenset((*KEPT, *SEARCH, *COURSE))


@dataclass(frozen=True, slots=True)
class Point:
    """A number on a curve.

    Args:
        axis: "kept": `step` counts kept optimizer steps; "search": all optimizer steps, discarded ones included.
        name: of the curve, for example "train/loss".
        step: where on the axis.
        value: finite.
    """

    axis: Axis
    name: str
    step: int
    value: float


def points(record: Record) -> list[Point]:
    """Return what a record adds to the curves; a number that was not finite is left out."""
    event = record["event"]
    axis: Axis = "kept" if event in KEPT else "search"
    step = record["step"] if axis == "kept" else record["total_steps"]
    return [Point(axis, name, step, float(value)) for name, value in _values(record) if value is not None]


def _values(record: Record) -> Iterable[tuple[str, float | None]]:
    match record["event"]:
        case "step":
            return [("train/loss", record["loss"]), ("train/lr", record["lr"])]
        case "eval":
            averaged = "_averaged" if record["weights"] == "averaged" else ""
            return [(f"{record['split']}{averaged}/{k}", v) for k, v in record["metrics"].items()]
        case "trial_step":
            return [("search/trial_loss", record["loss"])]
        case "trial_finished":
            found = {"trial_lr": record["lr"], "predicted": record["predicted"], "std": record["std"]}
            diverged = ("search/trial_diverged", float(record["status"] == "diverged"))
            return [*((f"search/{name}", value) for name, value in found.items()), diverged]
        case "lr_chosen":
            return [("search/chosen_lr", record["lr"])]
    return []


def parameters(config: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return the values of a configuration under their dotted keys; lists and nulls as text."""
    return {
        key: value if isinstance(value, str | int | float | bool) else str(value)
        for key, value in flat(config).items()
    }


def results(summary: Record) -> dict[str, float]:
    """Return the numbers of a summary that one compares runs by."""
    found = {f"final/{name}": value for name, value in summary["metrics"].items()}
    target = summary.get("target") or {}
    found |= {f"target/{key}": target.get(key) for key in ("step", "total_steps")}
    found["total_steps"] = summary["total_steps"]
    found["seconds"] = sum(bucket["seconds"] for bucket in summary["ledger"].values())
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
