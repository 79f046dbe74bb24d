"""One run, from a checked plan to a finished run directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError

from autolrs_cli.contracts import FullyMeasured
from autolrs_cli.errors import AutoLRSError, TrainingError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, Listener
from autolrs_cli.records.provenance import code_version, versions
from autolrs_cli.records.run_directory import (
    RunDirectory,
    config_id,
    default_root,
    write_json,
    write_schedule,
)
from autolrs_cli.runner.building import user_modules
from autolrs_cli.runner.checking import Plan
from autolrs_cli.runner.runtime import device_name, prepare
from autolrs_cli.runner.summary import summarize
from autolrs_cli.schedules import Constant
from autolrs_cli.search import preload
from autolrs_cli.settings import AutoLRSSettings
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import EXIT_CODES, RunInterrupted, StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.stage_loop import StageLoop
from autolrs_cli.training.target import TargetWatch
from autolrs_cli.training.trainer import Cadence, Trainer
from autolrs_cli.training.weights import LastCheckpoints, save_weights

# Keys that cannot change a run's results, so that runs differing only in them are the same experiment.
HARMLESS_KEYS = (
    "dashboard",
    "tracker",
    "run.dir",
    "run.config_dir",
    "run.log_every_steps",
    "runtime.max_seconds",
    "runtime.snapshot",
    "runtime.workers",
)
OUT_OF_MEMORY = (
    "The device's memory must hold a step. Lower recipe.micro_batch, or set runtime.snapshot=host."
)
WORKER_DIED = "Every loader worker must live. If memory ran out, lower runtime.workers; 0 needs none."
# Time for a signal that other processes have had to reach this one.
SIGNAL_SECONDS = 0.5
Status = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    status: Status
    exit_code: int
    reason: str | None
    directory: Path
    summary: dict[str, Any]


def open_directory(plan: Plan, config: dict[str, Any]) -> RunDirectory:
    """Make the run directory, and write the resolved configuration there first.

    Raises:
        ConfigError: if it cannot be written or already holds a run.
    """
    settings = plan.settings
    name = str(settings.recipe["name"]), str(settings.schedule["name"])
    digest = config_id(config, HARMLESS_KEYS)
    if settings.run.dir is None:
        root = default_root(*name, settings.seed, digest, datetime.now().astimezone())
    else:
        root = Path(settings.run.dir).expanduser()
    directory = RunDirectory(root)
    directory.create()
    directory.config.write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")
    return directory


def execute(
    plan: Plan,
    config: dict[str, Any],
    directory: RunDirectory,
    *,
    started: float,
    listeners: tuple[Listener, ...] = (),
    warnings: Sequence[str] = (),
) -> Result:
    """Train, and leave journal, schedule, weights and summary in the run directory.

    Args:
        plan: from `check`.
        config: the resolved configuration, as recorded.
        directory: opened, still without a journal.
        started: `time.perf_counter()` when the person pressed return.
        listeners: get every journal record.
        warnings: said in the journal before training.
    """
    prepare(plan.settings.runtime, plan.threads)
    if plan.search is not None:
        preload()
    journal = Journal(directory.journal, started=started, listeners=listeners)
    try:
        return _execute(plan, config, directory, journal, started, warnings)
    finally:
        journal.close()


def _execute(
    plan: Plan,
    config: dict[str, Any],
    directory: RunDirectory,
    journal: Journal,
    started: float,
    warnings: Sequence[str],
) -> Result:
    runtime = plan.settings.runtime
    stop = StopRequest(None if runtime.max_seconds is None else started + runtime.max_seconds)
    journal.write(_run_started(plan, config))
    for message in warnings:
        journal.write(events.Warned(message))
    trainer = _trainer(plan, directory, journal, Ledger(started), stop)
    status: Status = "done"
    reason: str | None = None
    with stop.listening():
        trainer.ledger.charge_until_now("startup")
        try:
            _train(plan, trainer)
            _save(trainer, directory)
        except RunInterrupted as stopped:
            status, reason = "interrupted", stopped.reason
        except Exception as error:
            status, reason, expected = _verdict(error, stop)
            if not expected:
                # A mistake of ours, or of a user's recipe: keep the account of the run, then let it be seen.
                _finish(plan, directory, trainer, status, reason)
                raise
    return _finish(plan, directory, trainer, status, reason)


def _verdict(error: Exception, stop: StopRequest) -> tuple[Status, str, bool]:
    """Return what `error` makes of the run: status, reason, and whether a person can act on it as it is."""
    worker_died = isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
    if worker_died and stop.reason is None:
        # A SIGTERM to all processes may reach the workers first, and what torch makes of that, before it comes here.
        time.sleep(SIGNAL_SECONDS)
    if stop.reason is not None:
        return "interrupted", stop.reason, True
    if worker_died:
        return "failed", f"{WORKER_DIED} {error}", True
    if isinstance(error, torch.OutOfMemoryError):
        return "failed", f"{OUT_OF_MEMORY} {error}", True
    if isinstance(error, AutoLRSError):
        return "failed", str(error), True
    return "failed", f"{type(error).__name__}: {error}", False


def _save(trainer: Trainer, directory: RunDirectory) -> None:
    with trainer.ledger.span("checkpoint"):
        try:
            save_weights(trainer.engine.model, directory.model)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"The run directory must take the weights, but {directory.model} cannot be written: {error}. "
                "Free some space or mend the folder's permissions."
            ) from error


def _train(plan: Plan, trainer: Trainer) -> None:
    """Go through the plan's segments: the one loop for every schedule."""
    schedule = plan.schedule
    if isinstance(schedule, AutoLRSSettings):
        schedule = Constant(schedule.warmup_lr, schedule.warmup_steps)  # of which only the warm-up is used
    stages: StageLoop | None = None
    if plan.search is not None:
        settings = plan.settings
        snapshot = Snapshot(trainer.engine.model, trainer.engine.optimizer, settings.runtime.snapshot)
        stages = StageLoop(trainer, snapshot, plan.search, settings.seed)
    if any(segment.objective == "choose" for segment in plan.segments):
        trainer.measure_untrained()
    for segment in plan.segments:
        trainer.place.phase = plan.phases[segment.phase].name
        if segment.kind == "stage":
            assert stages is not None
            stages.run(segment)
        else:
            trainer.keep(segment, schedule.lr)
    trainer.place.phase = None


def _trainer(
    plan: Plan, directory: RunDirectory, journal: Journal, ledger: Ledger, stop: StopRequest
) -> Trainer:
    settings, recipe = plan.settings, plan.recipe
    checkpoints = None
    if isinstance(recipe, FullyMeasured):
        checkpoints = LastCheckpoints(
            directory.last_weights, recipe.averaged_checkpoints, recipe.checkpoint_every_steps
        )
    engine = Engine(
        plan.recipe,
        plan.make_optimizer,
        seed=settings.seed,
        device=plan.device,
        precision=settings.runtime.precision,
    )
    ledger.synchronize = engine.synchronize
    return Trainer(
        engine,
        plan.phases,
        seed=settings.seed,
        workers=settings.runtime.workers,
        cadence=Cadence(
            settings.run.max_steps,
            settings.run.eval_every_steps,
            settings.run.log_every_steps,
            settings.run.full_eval_every_steps,
        ),
        journal=journal,
        ledger=ledger,
        stop=stop,
        watch=TargetWatch(plan.target),
        checkpoints=checkpoints,
    )


def _run_started(plan: Plan, config: dict[str, Any]) -> events.RunStarted:
    settings = plan.settings
    return events.RunStarted(
        description={
            **asdict(plan.recipe.describe()),
            "recipe": settings.recipe["name"],
            "schedule": settings.schedule["name"],
            "search": settings.search["name"] if plan.search else None,
            "scale": settings.scale,
            "seed": settings.seed,
            "device": device_name(plan.device),
            "precision": settings.runtime.precision,
            "threads": plan.threads,
            "example_unit": plan.recipe.example_unit,
            "metric": asdict(plan.recipe.metric),
            "target": None if plan.target is None else asdict(plan.target),
        },
        plan={
            "max_steps": settings.run.max_steps,
            "search_steps": plan.search_steps,
            "num_trials": plan.search.num_trials if plan.search else None,
            "segments": [asdict(segment) for segment in plan.segments],
        },
        config=config,
        versions=versions(),
        data_fingerprint=plan.recipe.fingerprint(),
        code_version=code_version(user_modules(config)),
    )


def _finish(
    plan: Plan, directory: RunDirectory, trainer: Trainer, status: Status, reason: str | None
) -> Result:
    ended = (
        events.Interrupted(str(reason))
        if status == "interrupted"
        else events.RunFinished(status, reason, trainer.ledger.totals())
    )
    try:
        trainer.journal.write(ended)
    except TrainingError as error:
        # The journal may be what failed; schedule and summary are still owed.
        if status == "done":
            status, reason = "failed", str(error)
    summary = summarize(plan, trainer, status, reason)
    try:
        write_schedule(directory.schedule, trainer.outcome.schedule.spans)
        write_json(directory.summary, summary)
    except OSError as error:
        raise TrainingError(
            f"The run directory must take the summary, but {directory.root} cannot be written: {error.strerror}. "
            "Free some space or mend the folder's permissions."
        ) from error
    exit_code = {"done": 0, "failed": 1, "interrupted": EXIT_CODES.get(str(reason), 1)}[status]
    return Result(status, exit_code, reason, directory.root, summary)
