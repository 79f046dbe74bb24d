"""From a checked plan to the objects that carry it out, and what the journal says of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from autolrs_cli.contracts import AdaptiveSchedule, FullyMeasured, Metric
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal
from autolrs_cli.records.provenance import versions
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.initial_weights import initial_weights
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import device_name
from autolrs_cli.training.best_weights import BestWeights
from autolrs_cli.training.checkpoint import Checkpoints
from autolrs_cli.training.divergence import DivergenceWatch
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.evaluation import Evaluator
from autolrs_cli.training.interruption import AgreedStop, StopRequest
from autolrs_cli.training.late_reading import reads_late
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.loader import Notice
from autolrs_cli.training.loss_function import shaped
from autolrs_cli.training.ranked_policy import ranked
from autolrs_cli.training.recorded_policy import RecordedPolicy
from autolrs_cli.training.resume_points import ResumePoints
from autolrs_cli.training.shared_run import SharedEvaluator, SharedResumePoints, UnkeptWeights
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.target import TargetWatch
from autolrs_cli.training.train_data import TrainData
from autolrs_cli.training.train_state import TrainState
from autolrs_cli.training.trainer import Cadence, Trainer
from autolrs_cli.training.trials import Prober
from autolrs_cli.training.weights import LastCheckpoints
from autolrs_cli.training.world import World


def make_trainer(
    plan: Plan,
    directory: RunDirectory,
    journal: Journal,
    ledger: Ledger,
    stop: StopRequest,
    *,
    begins: bool = True,
    world: World | None = None,
) -> Trainer:
    """Build model, optimizer and loop of a plan, at the beginning of the run.

    Args:
        plan: from `check`.
        directory: of the run.
        journal: where it writes.
        ledger: what its time is charged to.
        stop: who may end it.
        begins: whether the run starts here, from the weights of `run.init_from` if it has any; else they are loaded
            afterwards.
        world: the processes that train together; None: this one is alone.

    Raises:
        ConfigError: if those weights cannot be loaded.
    """
    settings, run, world = plan.settings, plan.settings.run, world or World()
    keeper = LastCheckpoints if world.rank == 0 else UnkeptWeights
    last_weights = _last_weights(plan, directory, keeper)
    best_weights = (
        BestWeights(keeper(directory.best_weights, 1, 1), _deciding(plan)) if run.keep_best else None
    )
    kept_weights = [
        *([last_weights] if last_weights else []),
        *([best_weights.files] if best_weights else []),
    ]
    engine = _engine(plan, world, begins=begins)
    ledger.synchronize = engine.synchronize
    state = _state(plan, journal, ledger, world)
    notice = functools.partial(_note, state, journal)
    parts = _alone() if world.size == 1 else _shared(world, state)
    trainer = Trainer(
        engine,
        _train_data(plan, world, notice, stop),
        state,
        cadence=Cadence(
            run.max_steps,
            run.eval_every_steps,
            run.log_every_steps,
            run.full_eval_every_steps,
            run.stop_at_target,
        ),
        journal=journal,
        stop=stop,
        evaluator=parts.evaluator(
            engine,
            journal,
            last_weights=last_weights,
            batch_norm_batches=settings.averaging.batchnorm_batches if settings.averaging else 0,
            notice=notice,
            seed=settings.seed,
            workers=settings.runtime.workers,
        ),
        resume_points=parts.resume_points(
            Checkpoints(directory.checkpoints),
            engine,
            state,
            journal,
            kept_weights,
            run.checkpoint_every_seconds,
        ),
        last_weights=last_weights,
        best_weights=best_weights,
        late=reads_late(plan.device, world),
    )
    for rider in (stop, trainer.resume_points):
        if isinstance(rider, AgreedStop | SharedResumePoints):
            world.carry(rider)
    return trainer


def _engine(plan: Plan, world: World, *, begins: bool) -> Engine:
    settings = plan.settings
    return Engine(
        plan.recipe,
        plan.make_optimizer,
        seed=settings.seed,
        device=plan.device,
        precision=settings.runtime.precision,
        world=world,
        average=settings.averaging,
        initial=initial_weights(settings.run.init_from) if begins else None,
        compiled=settings.runtime.compile,
    )


def _train_data(plan: Plan, world: World, notice: Notice, stop: StopRequest) -> TrainData:
    settings = plan.settings
    return TrainData(
        plan.recipe,
        plan.phases,
        seed=settings.seed,
        workers=settings.runtime.workers,
        device=plan.device,
        world=world,
        notice=notice,
        waiting=stop.check,
        shaped=shaped(plan.recipe, settings.runtime.compile),
    )


class _Parts(NamedTuple):
    """What makes those parts of a trainer that are other ones where several processes train together."""

    evaluator: Callable[..., Evaluator]
    resume_points: Callable[..., ResumePoints]


def _alone() -> _Parts:
    return _Parts(Evaluator, ResumePoints)


def _shared(world: World, state: TrainState) -> _Parts:
    world.charged = lambda: state.ledger.span("communication")
    noticed = functools.partial(SharedEvaluator, notices=lambda: state.outcome.notices)
    return _Parts(noticed, SharedResumePoints)


def _last_weights(
    plan: Plan, directory: RunDirectory, keeper: type[LastCheckpoints]
) -> LastCheckpoints | None:
    """Return what keeps the weights whose mean a full evaluation measures; None where nothing does."""
    recipe = plan.recipe
    if not isinstance(recipe, FullyMeasured) or plan.settings.averaging is not None:
        return None
    return keeper(directory.last_weights, recipe.averaged_checkpoints, recipe.checkpoint_every_steps)


def _state(plan: Plan, journal: Journal, ledger: Ledger, world: World) -> TrainState:
    """Return what a run knows at its beginning."""
    state = TrainState(
        journal.place,
        ledger,
        TargetWatch(plan.target),
        adaptive=plan.schedule if isinstance(plan.schedule, AdaptiveSchedule) else None,
    )
    if plan.search is not None:
        state.policy = ranked(plan.search.policy(plan.outline), world)
        state.divergence = DivergenceWatch(state.policy.failure_rule)
    return state


def _deciding(plan: Plan) -> Metric:
    """Return the metric that has the target, or the recipe's where there is none."""
    target = plan.target
    return plan.recipe.metric if target is None else Metric(target.metric, target.direction)


def _note(state: TrainState, journal: Journal, said: str) -> None:
    """Write down what a stream has to say of its batches, once."""
    if said not in state.outcome.notices:
        state.outcome.notices.append(said)
        journal.write(events.Warned(said))


def make_search(plan: Plan, trainer: Trainer) -> tuple[Prober, RecordedPolicy]:
    """Return what a searched run needs beside its trainer."""
    assert trainer.state.policy is not None
    policy = RecordedPolicy(trainer.state.policy, trainer)
    engine = trainer.engine

    def snapshot() -> Snapshot:
        return Snapshot(engine.model, engine.optimizer, plan.settings.runtime.snapshot, engine.averaged)

    return Prober(trainer, policy, snapshot), policy


def run_started(plan: Plan, config: dict[str, Any], initial_weights: str | None = None) -> events.RunStarted:
    """Return the journal's first record: the plan, and what it is carried out with.

    Args:
        plan: from `check`.
        config: the resolved configuration, as recorded.
        initial_weights: hash of the weights of another run that it starts from.
    """
    settings, code = plan.settings, code_version(config)
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
            **({"compile": settings.runtime.compile} if settings.runtime.compile != "none" else {}),
            "threads": plan.threads,
            **({"processes": plan.processes} if plan.processes > 1 else {}),
            "example_unit": plan.recipe.example_unit,
            "metric": asdict(plan.recipe.metric),
            "target": None if plan.target is None else asdict(plan.target),
        },
        plan={
            "max_steps": settings.run.max_steps,
            "search_steps": plan.search_steps,
            "num_trials": max((stage.num_trials for stage in plan.stages), default=None),
            "segments": [asdict(segment) for segment in plan.segments],
        },
        config=config,
        versions=versions(),
        data_fingerprint=plan.recipe.fingerprint(),
        code_version=code.total,
        code=dict(code.modules),
        length=plan.length,
        initial_weights=initial_weights,
    )
