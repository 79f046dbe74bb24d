"""One run, from a checked plan to a finished run directory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import OmegaConf

from autolrs_cli.errors import AutoLRSError, TrainingError
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, Listener
from autolrs_cli.records.provenance import code_version, versions
from autolrs_cli.records.run_directory import (
    HARMLESS_KEYS,
    RunDirectory,
    config_id,
    default_root,
    write_json,
    write_schedule,
)
from autolrs_cli.runner.instantiate import user_modules
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.preparation import keep_preprocessing
from autolrs_cli.runner.resume_point import ResumePoint, cut
from autolrs_cli.runner.summary import summarize
from autolrs_cli.runner.torch_runtime import prepare, require_shared_memory
from autolrs_cli.runner.trainer_factory import make_trainer, run_started
from autolrs_cli.schedules import Constant
from autolrs_cli.search import preload
from autolrs_cli.settings import AutoLRSSettings
from autolrs_cli.training.checkpoint import refusing_foreign
from autolrs_cli.training.interruption import EXIT_CODES, RunInterrupted, StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.stage_loop import StageLoop, ToldTrial
from autolrs_cli.training.trainer import Trainer
from autolrs_cli.training.weights import save_weights

OUT_OF_MEMORY = (
    "The device's memory must hold a step. Lower recipe.micro_batch, or set runtime.snapshot=host."
)
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
    resume: ResumePoint | None = None,
) -> Result:
    """Train, and leave journal, schedule, weights and summary in the run directory.

    Args:
        plan: from `check`.
        config: the resolved configuration, as recorded.
        directory: opened and locked, without a journal unless `resume`.
        started: `time.perf_counter()` when the person pressed return.
        listeners: get every journal record.
        warnings: said in the journal before training.
        resume: where to go on; None: at the beginning.
    """
    prepare(plan.settings.runtime, plan.threads)
    if plan.search is not None:
        preload()
    keep_preprocessing(plan.recipe, directory)
    require_shared_memory(plan)
    first_started = started - (resume.t if resume else 0.0)
    if resume is not None:
        cut(directory, resume)
    journal = Journal(
        directory.journal, started=first_started, listeners=listeners, resume=resume is not None
    )
    limit = plan.settings.runtime.max_seconds
    stop = StopRequest(None if limit is None else started + limit)
    trainer = make_trainer(plan, directory, journal, Ledger(first_started, started), stop)
    try:
        if resume is None or resume.checkpoint is None:
            journal.write(run_started(plan, config))
        if resume is not None:
            _go_on_from(resume, trainer, config)
        for message in warnings:
            journal.write(events.Warned(message))
        return _execute(plan, directory, trainer, stop, resume.told if resume else ())
    finally:
        journal.close()


def _go_on_from(point: ResumePoint, trainer: Trainer, config: dict[str, Any]) -> None:
    if point.checkpoint is not None:
        with refusing_foreign():
            trainer.go_on_from(point.checkpoint)
    if point.changed:
        trainer.outcome.bit_exact = False
    trainer.outcome.resumed += 1 + point.resumed_before
    trainer.place.total_steps += point.repeated_steps
    trainer.ledger.add("repeated", point.repeated_steps, point.repeated_seconds)
    trainer.journal.write(
        events.Resumed(
            point.step,
            len(point.told),
            point.repeated_steps,
            point.changed,
            versions(),
            code_version(user_modules(config)),
        )
    )


def _execute(
    plan: Plan, directory: RunDirectory, trainer: Trainer, stop: StopRequest, told: Sequence[ToldTrial]
) -> Result:
    status: Status = "done"
    reason: str | None = None
    with stop.listening():
        trainer.ledger.charge_until_now("startup")
        try:
            _train(plan, trainer, told)
            _save(trainer, directory)
        except RunInterrupted as stopped:
            status, reason = "interrupted", stopped.reason
            _keep_a_resume_point(plan, trainer)
        except Exception as error:
            status, reason, expected = _verdict(error, stop)
            if not expected:
                # A mistake of ours, or of a user's recipe: keep the account of the run, then let it be seen.
                _finish(plan, directory, trainer, status, reason)
                raise
    return _finish(plan, directory, trainer, status, reason)


def _keep_a_resume_point(plan: Plan, trainer: Trainer) -> None:
    """Write a checkpoint between two kept steps.

    Not at the start of a stage that has been or is being searched: its own checkpoint, from before the search, and the
    trials in the journal are what the run goes on from.
    """
    place = trainer.place
    opened = [s.first_step for s in plan.segments if s.kind == "stage" and s.stage == place.stage]
    if place.step not in opened:
        with suppress(TrainingError):
            trainer.checkpoint_or_warn()


def _verdict(error: Exception, stop: StopRequest) -> tuple[Status, str, bool]:
    """Return what `error` makes of the run: status, reason, and whether a person can act on it as it is."""
    if stop.reason is not None:
        # Torch sees workers die that the same SIGTERM has reached.
        return "interrupted", stop.reason, True
    if isinstance(error, torch.OutOfMemoryError):
        return "failed", f"{OUT_OF_MEMORY} {error}", True
    if isinstance(error, AutoLRSError):
        return "failed", str(error), True
    return "failed", f"{type(error).__name__}: {error}", False


def _save(trainer: Trainer, directory: RunDirectory) -> None:
    with trainer.ledger.span("checkpoint"):
        if trainer.engine.averaged is not None:
            save_weights(trainer.engine.averaged_model, directory.averaged_model)
        save_weights(trainer.engine.model, directory.model)


def _train(plan: Plan, trainer: Trainer, told: Sequence[ToldTrial]) -> None:
    """Go through what is left of the plan's segments: the one loop for every schedule.

    Args:
        plan: what is trained.
        trainer: at the beginning, or where an earlier process left it.
        told: trials of the open stage that the earlier process finished.
    """
    schedule = plan.schedule
    if isinstance(schedule, AutoLRSSettings):
        schedule = Constant(schedule.warmup_lr, schedule.warmup_steps)  # of which only the warm-up is used
    stages: StageLoop | None = None
    if plan.search is not None:
        settings = plan.settings
        engine = trainer.engine
        snapshot = Snapshot(engine.model, engine.optimizer, settings.runtime.snapshot, engine.averaged)
        assert plan.budget is not None
        stages = StageLoop(trainer, snapshot, plan.search, settings.seed, plan.budget.max_rollbacks)
    judged_by_choose = any(segment.objective == "choose" for segment in plan.segments)
    if judged_by_choose and "choose" not in trainer.untrained_loss:
        trainer.measure_untrained()
    for segment in plan.segments:
        if trainer.place.step >= segment.first_step + segment.steps:
            continue
        trainer.place.phase = plan.phases[segment.phase].name
        if segment.kind != "stage":
            trainer.keep(segment, schedule.lr)
            continue
        assert stages is not None
        if trainer.place.step > segment.first_step:
            stages.go_on(segment)
        else:
            stages.run(segment, told)
        told = ()
    trainer.place.phase = None


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
    if status == "done":
        trainer.forget_resume_points()
    exit_code = {"done": 0, "failed": 1, "interrupted": EXIT_CODES.get(str(reason), 1)}[status]
    return Result(status, exit_code, reason, directory.root, summary)
