"""Run directories made by hand, so that a comparison of them has known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

SCHEDULES: dict[str, dict[str, Any]] = {
    "autolrs": {"name": "autolrs", "warmup_steps": 0, "warmup_lr": 0.1},
    "original": {"name": "original"},
    "constant": {"name": "constant", "_target_": "autolrs_cli.schedules.Constant", "peak_lr": 0.1},
    "cosine": {
        "name": "cosine",
        "_target_": "autolrs_cli.schedules.Cosine",
        "peak_lr": 0.1,
        "max_steps": "${length}",
    },
    "sgdr": {"name": "sgdr", "_target_": "autolrs_cli.schedules.WarmRestarts", "peak_lr": 0.1},
    "replay": {"name": "replay", "_target_": "autolrs_cli.schedules.Replay", "run": "somewhere"},
}
STEP_DECAY = {"_target_": "autolrs_cli.schedules.WarmupStepDecay", "peak_lr": 0.1, "max_steps": "${length}"}
SECONDS_PER_STEP = 0.5


def make_run(
    root: Path,
    schedule: str,
    seed: int,
    accuracy: Sequence[float | None],
    *,
    every: int = 10,
    target: float | None = 0.9,
    status: str | None = "done",
    averaged: Sequence[float | None] | None = None,
    changes: Mapping[str, Any] | None = None,
    code: str = "c0de",
    modules: Mapping[str, str] | None = None,
    data: str = "da7a",
    chosen: Sequence[Mapping[str, Any]] = (),
    resumed: Sequence[Mapping[str, Any]] = (),
    other_seconds: float = 0.0,
    description: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run of `len(accuracy) * every` steps whose held-out accuracy every `every` steps is `accuracy`.

    A searched run makes as many discarded steps as kept ones. A step takes half a second.

    Args:
        root: gets a folder for the run, which is returned.
        schedule: one of `SCHEDULES`.
        seed: the run's seed.
        accuracy: of the raw weights.
        averaged: of the averaged weights; given, the run has average=ema.
        changes: dotted configuration key -> value.
        status: of the run's end; None: it was killed.
        code: version of all code.
        modules: module -> hash of its code; None: the journal tells none, as older ones.
        chosen, resumed: fields of such events.
    """
    length = len(accuracy) * every
    folder = root / f"{schedule}-{seed}-{length}-{len(list(root.glob('*')))}"
    folder.mkdir(parents=True)
    config = configuration(schedule, seed, length, every, target, averaged=averaged is not None)
    for key, value in (changes or {}).items():
        _set(config, key, value)
    searched = schedule == "autolrs"
    share = 2 if searched else 1
    events: list[dict[str, Any]] = [
        {
            **_at(0, 1),
            "event": "run_started",
            "description": {
                "recipe": config["recipe"]["name"],
                "schedule": schedule,
                "search": "paper" if searched else None,
                "scale": config["scale"],
                "seed": seed,
                "device": "cpu",
                "precision": "fp32",
                "threads": 1,
                "data": "made",
                "model": "none",
                "metric": {"name": "accuracy", "direction": "max"},
                "target": target and {"metric": "accuracy", "value": target, "direction": "max"},
                **(description or {}),
            },
            "plan": {"max_steps": length, "search_steps": length if searched else 0},
            "config": config,
            "versions": {"torch": "1"},
            "data_fingerprint": data,
            "code_version": code,
            **({} if modules is None else {"code": modules}),
        },
        *({**_at(0, share), "event": "resumed", **fields} for fields in resumed),
        *({**_at(0, share), "event": "lr_chosen", "stage": i, "lr": 0.1, **c} for i, c in enumerate(chosen)),
    ]
    for number, value in enumerate(accuracy):
        step = (number + 1) * every
        events.append({**_at(step, share), "event": "step", "lr": 0.1, "loss": 1 / step, "examples": step})
        for weights, found in (("raw", value), ("averaged", averaged[number] if averaged else None)):
            if weights == "raw" or averaged is not None:
                metrics = {"accuracy": found, "loss": None if found is None else 1.01 - found}
                events.append(
                    {
                        **_at(step, share),
                        "event": "eval",
                        "split": "target",
                        "weights": weights,
                        "metrics": metrics,
                    }
                )
    if status is not None:
        kept, lost = length, length * (share - 1)
        ledger = {
            "training": {"steps": kept, "seconds": kept * SECONDS_PER_STEP},
            "search_discarded": {"steps": lost, "seconds": lost * SECONDS_PER_STEP},
            "other": {"steps": 0, "seconds": other_seconds},
        }
        name = "interrupted" if status == "interrupted" else "run_finished"
        events.append(
            {**_at(length, share), "event": name, "status": status, "reason": status, "ledger": ledger}
        )
    (folder / "config.yaml").write_text("made: true\n")
    with (folder / "journal.jsonl").open("wb") as file:
        file.writelines(orjson.dumps(in_order(event), option=orjson.OPT_APPEND_NEWLINE) for event in events)
    return folder


def configuration(
    schedule: str, seed: int, length: int, every: int, target: float | None, *, averaged: bool = False
) -> dict[str, Any]:
    """Return a resolved configuration."""
    config = {
        "seed": seed,
        "scale": "made",
        "recipe": {"name": "made", "global_batch": 8, "micro_batch": 4},
        "schedule": dict(SCHEDULES[schedule]),
        "original_schedule": dict(STEP_DECAY),
        "search": {"name": "paper", "kappa": 3.0},
        "average": {"name": "ema", "decay": 0.9} if averaged else {"name": "none"},
        "target": target and {"metric": "accuracy", "value": target},
        "run": {"dir": None, "max_steps": length, "eval_every_steps": every, "full_eval_every_steps": None},
        "runtime": {"threads": 1, "precision": "fp32", "workers": 0},
    }
    for node in (config["schedule"], config["original_schedule"]):
        if "max_steps" in node:
            node["max_steps"] = length
    return config


def tuned(steps: int, *, schedule: str = "sgdr", **purpose: Any) -> dict[str, Any]:
    """Return the changes to a run's configuration that make it one of a schedule tuned in so many steps.

    Args:
        steps: of the whole study.
        schedule: its name before.
        purpose: what it was tuned for, where that is not the run as it is.
    """
    made = {"recipe": "made", "scale": "made", "optimizer": "none", "average": "none"}
    tuning = {
        "option": f"tuned/made/made/{schedule}-none-da7a",
        "study": "5ca1ab1e",
        "steps": steps,
        "seconds": steps * SECONDS_PER_STEP,
        "runs": 11,
        "configurations": 9,
        "max_steps": 40,
        "purpose": {**made, "batch": {"global_batch": 8}, "data_fingerprint": "da7a", **purpose},
        "found": {"peak_lr": 0.1},
    }
    return {"schedule.name": f"{schedule}_tuned", "schedule.tuning": tuning}


def in_order(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its name first, as the journal writes it."""
    return {"event": event["event"], **event}


def _at(step: int, share: int) -> dict[str, Any]:
    return {"t": step * share * SECONDS_PER_STEP, "step": step, "total_steps": step * share}


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    node = config
    for name in path:
        node = node.setdefault(name, {})
    node[last] = value
