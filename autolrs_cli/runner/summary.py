"""summary.json: the run in one file, for scripts and comparisons."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autolrs_cli.records.provenance import code_version, versions
from autolrs_cli.records.run_directory import SCHEMA_VERSION
from autolrs_cli.runner.instantiate import user_modules
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import device_name
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.stages import Segment
from autolrs_cli.training.trainer import Trainer

# The journal has all of them.
_MOST_NOTICES = 20


def summarize(plan: Plan, trainer: Trainer, status: str, reason: str | None) -> dict[str, Any]:
    """Return the contents of summary.json."""
    settings, place = plan.settings, trainer.place
    return {
        "schema_version": SCHEMA_VERSION,
        "status": status,
        "reason": reason,
        "recipe": settings.recipe["name"],
        "schedule": settings.schedule["name"],
        "search": settings.search["name"] if plan.search else None,
        "data": plan.recipe.describe().data,
        "data_fingerprint": plan.recipe.fingerprint(),
        "scale": settings.scale,
        "batch": [phase.global_batch for phase in plan.phases],
        "precision": settings.runtime.precision,
        "threads": plan.threads,
        "seed": settings.seed,
        "device": device_name(plan.device),
        "versions": versions(),
        "code_version": code_version(user_modules(settings.model_dump())),
        "step": place.step,
        "total_steps": place.total_steps,
        "examples": trainer.outcome.examples,
        "metrics": {name: finite(value) for name, value in trainer.outcome.metrics.items()},
        "raw_metrics": {name: finite(value) for name, value in trainer.outcome.raw_metrics.items()},
        "average": settings.average.name,
        "notes": trainer.outcome.notes,
        "notices": {
            "count": len(trainer.outcome.notices),
            "first": trainer.outcome.notices[:_MOST_NOTICES],
        },
        "resumed": trainer.outcome.resumed,
        "bit_exact": trainer.outcome.bit_exact,
        "untrained_loss": {kind: finite(value) for kind, value in trainer.untrained_loss.items()},
        "target": _target(trainer),
        "ledger": trainer.ledger.totals(),
        "chosen": _chosen(plan, trainer),
        "rolled_back": [asdict(each) for each in trainer.outcome.ruled_out],
    }


def _target(trainer: Trainer) -> dict[str, Any] | None:
    target, reached = trainer.watch.target, trainer.watch.reached
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


def _chosen(plan: Plan, trainer: Trainer) -> list[dict[str, Any]]:
    stages: list[Segment] = [s for s in plan.segments if s.kind == "stage"]
    # An interrupted run has chosen fewer LRs than it has stages.
    return [
        {"stage": stage.stage, "lr": chosen.lr, "steps": stage.steps, "flags": list(chosen.flags)}
        for stage, chosen in zip(stages, trainer.outcome.chosen, strict=False)
    ]
