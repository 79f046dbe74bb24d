"""One run, from a checked plan to a finished run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from autolrs_cli.errors import AutoLRSError, LostProcessError, TrainingError, UnwritableError
from autolrs_cli.exit_codes import EndCause, ExitCode, RunStatus
from autolrs_cli.homes import at_home
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal, Listener
from autolrs_cli.records.provenance import versions
from autolrs_cli.records.run_directory import (
    HARMLESS_KEYS,
    RunDirectory,
    config_id,
    default_root,
    write_json,
    write_schedule,
)
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.initial_weights import digest_of, initial_weights
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.preparation import keep_preprocessing
from autolrs_cli.runner.resume_point import ResumePoint, cut
from autolrs_cli.runner.summary import summarize
from autolrs_cli.runner.torch_runtime import prepare, require_shared_memory
from autolrs_cli.runner.trainer_factory import make_search, make_trainer, run_started
from autolrs_cli.search import preload
from autolrs_cli.training.algorithm import search_and_train, train
from autolrs_cli.training.checkpoint import refusing_foreign
from autolrs_cli.training.interruption import REASONS, AgreedStop, RunInterrupted, StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.shared_run import require_same_state
from autolrs_cli.training.trainer import Trainer
from autolrs_cli.training.weights import save_weights
from autolrs_cli.training.world import World

OUT_OF_MEMORY = (
    "The device's memory, or this run's part of it (launcher.gpus), must hold a step. Lower recipe.micro_batch, or set "
    "runtime.snapshot=host."
)


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    cause: EndCause
    reason: str | None
    directory: Path
    summary: dict[str, Any]

    @property
    def status(self) -> RunStatus:
        """In one of three words."""
        return self.cause.status

    @property
    def exit_code(self) -> ExitCode:
        """What the command returns."""
        return self.cause.exit_code


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
        root = at_home(settings.run.dir, "run.dir")
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
    world: World | None = None,
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
        world: the processes that train together, of which this is rank 0; None: it is alone.
    """
    world = world or World()
    assert world.size == plan.processes
    world.broadcast(resume)
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
    stop = (StopRequest if world.size == 1 else AgreedStop)(None if limit is None else started + limit)
    begins = resume is None or resume.checkpoint is None
    try:
        ledger = Ledger(first_started, started)
        trainer = make_trainer(plan, directory, journal, ledger, stop, begins=begins, world=world)
        if begins:
            initial = digest_of(initial_weights(plan.settings.run.init_from))
            trainer.state.outcome.initial_weights = initial
            journal.write(run_started(plan, config, initial))
        if resume is not None:
            go_on_from(resume, trainer, config)
        for message in warnings:
            journal.write(events.Warned(message))
        end = carry_out(plan, trainer, stop, lambda: _save(trainer, directory))
        world.leave(end.cause, end.reason)
        result = _finish(plan, directory, trainer, end.cause, end.reason)
        if end.error is not None:
            raise end.error
        return result
    finally:
        journal.close()


def go_on_from(point: ResumePoint, trainer: Trainer, config: dict[str, Any]) -> None:
    """Put a trainer that stands at the beginning of the run where an earlier process left it."""
    state = trainer.state
    with refusing_foreign():
        if point.checkpoint is not None:
            trainer.engine.load_state(point.checkpoint)
            state.load_state_dict(point.checkpoint.values["run"])
        if point.search is not None:
            assert state.policy is not None
            state.policy.load_state_dict(dict(point.search.policy))
            state.untrained_loss.update(point.search.untrained_loss)
            state.place.total_steps += point.search.steps
            state.ledger.add("search_discarded", point.search.steps, point.search.seconds)
    if point.changed:
        state.outcome.bit_exact = False
    state.outcome.resumed += 1 + point.resumed_before
    state.place.total_steps += point.repeated_steps
    state.ledger.add("repeated", point.repeated_steps, point.repeated_seconds)
    trainer.journal.write(
        events.Resumed(
            point.step,
            point.search.trials if point.search else 0,
            point.repeated_steps,
            point.changed,
            versions(),
            code_version(config).total,
        )
    )


@dataclass(frozen=True)
class End:
    """Why the training ended."""

    cause: EndCause = EndCause.DONE
    reason: str | None = None
    error: Exception | None = None
    """A mistake of ours, or of a user's recipe: to be seen, once the account of the run is kept."""
    asked: bool = False
    """Whether the run was asked to stop, and obeyed."""

    @property
    def is_shared(self) -> bool:
        """Whether all processes of the run come to this end at the same step."""
        return self.asked or self.cause in (EndCause.DONE, EndCause.DIVERGED)


def carry_out(
    plan: Plan, trainer: Trainer, stop: StopRequest, save: Callable[[], None] = lambda: None
) -> End:
    """Train what is left of the run, and `save` what came of it."""
    with stop.listening():
        trainer.state.ledger.charge_until_now("startup")
        try:
            return _carry_out(plan, trainer, save)
        except Exception as error:
            cause, reason = _verdict(error, stop)
            return End(cause, reason, error if cause is EndCause.CODE_ERROR else None)


def _carry_out(plan: Plan, trainer: Trainer, save: Callable[[], None]) -> End:
    require_same_state(trainer.engine)
    try:
        _train(plan, trainer)
        save()
    except RunInterrupted as stopped:
        trainer.resume_points.write_at_the_end()
        return End(stopped.cause, stopped.reason, asked=True)
    return End()


def _train(plan: Plan, trainer: Trainer) -> None:
    """Go through what is left of the run."""
    if (
        plan.search is not None
        and plan.search.most(plan.outline).held_out_losses
        and "choose" not in trainer.state.untrained_loss
    ):
        trainer.measure_untrained()
    train(trainer, plan.opening, plan.schedule)
    if plan.search is not None:
        search_and_train(trainer, *make_search(plan, trainer))
    trainer.state.place.phase = None


def _verdict(error: Exception, stop: StopRequest) -> tuple[EndCause, str]:
    """Return why `error` ends the run: in one word, and in a sentence for a person."""
    if stop.cause is not None:
        # Torch sees workers die that the same SIGTERM has reached.
        return stop.cause, REASONS[stop.cause]
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return EndCause.OUT_OF_MEMORY, f"{OUT_OF_MEMORY} {error}".rstrip()
    if isinstance(error, LostProcessError):
        return error.found, str(error)
    if isinstance(error, AutoLRSError):
        return error.cause, str(error)
    return EndCause.CODE_ERROR, f"{type(error).__name__}: {error}"


def _save(trainer: Trainer, directory: RunDirectory) -> None:
    with trainer.state.ledger.span("checkpoint"), trainer.engine.evaluation_weights():
        if trainer.engine.averaged is not None:
            save_weights(trainer.engine.averaged_model, directory.averaged_model)
        kept, best = trainer.best_weights, trainer.state.outcome.best
        if kept is not None and best is not None:
            kept.copy_to(directory.best_model, best)
        save_weights(trainer.engine.model, directory.model)


def _finish(
    plan: Plan, directory: RunDirectory, trainer: Trainer, cause: EndCause, reason: str | None
) -> Result:
    status = cause.status
    ended = (
        events.Interrupted(str(reason), cause)
        if status == "interrupted"
        else events.RunFinished(status, reason, cause, trainer.state.ledger.totals())
    )
    try:
        trainer.journal.write(ended)
    except TrainingError as error:
        # The journal may be what failed; schedule and summary are still owed.
        if cause is EndCause.DONE:
            cause, reason = error.cause, str(error)
    summary = summarize(plan, trainer, cause, reason)
    try:
        write_schedule(directory.schedule, trainer.state.outcome.schedule.spans)
        write_json(directory.summary, summary)
    except OSError as error:
        raise UnwritableError(
            f"The run directory must take the summary, but {directory.root} cannot be written: {error.strerror}. "
            "Free some space or mend the folder's permissions."
        ) from error
    if cause is EndCause.DONE:
        if trainer.best_weights is not None:
            trainer.best_weights.forget()
        trainer.resume_points.forget()
    return Result(cause, reason, directory.root, summary)
