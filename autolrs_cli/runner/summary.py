"""summary.json: the run in one file, for scripts and comparisons."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autolrs_cli.exit_codes import EndCause
from autolrs_cli.records.provenance import versions
from autolrs_cli.records.run_directory import SCHEMA_VERSION
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import device_name
from autolrs_cli.schedules.tuning import KEY
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.train_state import TrainState
from autolrs_cli.training.trainer import Trainer

# The journal has all of them.
_MOST_NOTICES = 20


def summarize(plan: Plan, trainer: Trainer, cause: EndCause, reason: str | None) -> dict[str, Any]:
    """Return the contents of summary.json."""
    settings, state = plan.settings, trainer.state
    place, code = state.place, code_version(settings.model_dump())
    return {
        "schema_version": SCHEMA_VERSION,
        "status": cause.status,
        "cause": cause,
        "reason": reason,
        "recipe": settings.recipe["name"],
        "schedule": settings.schedule["name"],
        "search": settings.search["name"] if plan.search else None,
        "tuning": settings.schedule.get(KEY),
        "length": asdict(plan.length),
        "data": plan.recipe.describe().data,
        "data_fingerprint": plan.recipe.fingerprint(),
        "scale": settings.scale,
        "batch": [phase.global_batch for phase in plan.phases],
        "precision": settings.runtime.precision,
        "threads": plan.threads,
        "processes": plan.processes,
        "seed": settings.seed,
        "device": device_name(plan.device),
        "versions": versions(),
        "code_version": code.total,
        "code": code.modules,
        "step": place.step,
        "total_steps": place.total_steps,
        "examples": state.outcome.examples,
        "metrics": {name: finite(value) for name, value in state.outcome.metrics.items()},
        "raw_metrics": {name: finite(value) for name, value in state.outcome.raw_metrics.items()},
        "best": None if state.outcome.best is None else asdict(state.outcome.best),
        "average": settings.average.name,
        "init_from": _source(settings.run.init_from, state),
        "notes": state.outcome.notes,
        "notices": {
            "count": len(state.outcome.notices),
            "first": state.outcome.notices[:_MOST_NOTICES],
        },
        "resumed": state.outcome.resumed,
        "bit_exact": state.outcome.bit_exact,
        "untrained_loss": {kind: finite(value) for kind, value in state.untrained_loss.items()},
        "target": _target(state),
        "ledger": state.ledger.totals(),
        "chosen": _chosen(state),
        "rolled_back": [asdict(each) for each in state.outcome.ruled_out],
    }


def _source(run: str | None, state: TrainState) -> dict[str, Any] | None:
    return None if run is None else {"run": run, "weights": state.outcome.initial_weights}


def _target(state: TrainState) -> dict[str, Any] | None:
    target, reached = state.watch.target, state.watch.reached
    if target is None:
        return None
    return {
        "metric": target.metric,
        "value": target.value,
        "reached": reached is not None,
        "step": reached.step if reached else None,
        "total_steps": reached.total_steps if reached else None,
        "seconds": reached.t if reached else None,
    }


def _chosen(state: TrainState) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage,
            "lr": chosen.lr,
            "steps": chosen.steps,
            "kept_steps": chosen.kept_steps,
            "flags": list(chosen.flags),
            "account": chosen.account,
        }
        for stage, chosen in enumerate(state.outcome.chosen)
    ]
