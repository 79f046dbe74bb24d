"""A few real steps of a recipe on this machine, each part timed; nothing of it stays."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import torch

from autolrs_cli.contracts import AdaptiveSchedule, FullyMeasured
from autolrs_cli.experiments.cost.estimate import NO_SEARCH, Measured, Shape
from autolrs_cli.experiments.cost.scratch_trainer import scratch_trainer
from autolrs_cli.records import events
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.search import Curve, SearchPolicy, preload
from autolrs_cli.training.optimizer_state import state_nbytes
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.trainer import Trainer
from autolrs_cli.training.weights import save_weights

# The first steps pay for memory, kernels and caches that the others find ready.
UNTIMED_STEPS = 2


def shape_of(plan: Plan) -> Shape:
    """Return the counts that a run's cost follows from."""
    run, recipe = plan.settings.run, plan.recipe
    return Shape(
        max_steps=run.max_steps,
        segments=plan.segments,
        search=NO_SEARCH if plan.search is None else plan.search.most(plan.outline),
        eval_every_steps=run.eval_every_steps,
        full_eval_every_steps=run.full_eval_every_steps,
        log_every_steps=run.log_every_steps,
        checkpoint_every_seconds=run.checkpoint_every_seconds,
        lr_changes=_lr_changes(plan),
        averaging_files=int(getattr(recipe, "averaged_checkpoints", 0)),
    )


def _lr_changes(plan: Plan) -> int:
    """Count the kept steps whose LR is not that of the step before; of adaptive schedules, the least."""
    schedule = plan.schedule
    if plan.search is not None:
        return plan.search.most(plan.outline).lr_changes
    if isinstance(schedule, AdaptiveSchedule):
        return 1
    lrs = [schedule.lr(step) for step in range(plan.settings.run.max_steps)]
    return 1 + sum(a != b for a, b in pairwise(lrs))


def measure(plan: Plan, *, steps: int, started: float) -> Measured:
    """Train a few steps at the schedule's beginning and time every part of a run.

    Args:
        plan: of the run; its data are ready.
        steps: that are timed, spread over the run's phases by their share of its steps.
        started: `time.perf_counter()` when libraries began to load.
    """
    with scratch_trainer(plan) as (trainer, directory):
        return _measure(plan, trainer, directory, steps, started)


def _measure(plan: Plan, trainer: Trainer, directory: RunDirectory, steps: int, started: float) -> Measured:
    engine, search = trainer.engine, plan.search
    startup = time.perf_counter() - started
    step_seconds = _step_seconds(plan, trainer, steps)
    snapshot = Snapshot(engine.model, engine.optimizer, plan.settings.runtime.snapshot, engine.averaged)
    snapshot.save()
    # Each a second time: the first pays for allocations.
    timed = {
        "save": _seconds(snapshot.save, trainer),
        "restore": _seconds(snapshot.restore, trainer),
        "evaluation": _seconds(lambda: trainer.evaluator.evaluate(1, full=False), trainer),
        "choose": _seconds(trainer.evaluator.choose_loss, trainer) if search else 0.0,
        "checkpoint": _seconds(trainer.resume_points.write, trainer),
    }
    save_weights(engine.model, directory.model)
    trainer.journal.mark()
    return Measured(
        timed_steps=steps,
        startup_seconds=startup,
        step_seconds=step_seconds,
        evaluation_seconds=timed["evaluation"],
        full_evaluation_seconds=_full_seconds(trainer),
        choose_seconds=timed["choose"],
        snapshot_seconds=fmean((timed["save"], timed["restore"])),
        question_seconds=_question_seconds(plan) if search else 0.0,
        checkpoint_seconds=timed["checkpoint"],
        parameter_bytes=sum(p.nbytes for p in engine.model.parameters()),
        optimizer_bytes=state_nbytes(engine.optimizer),
        snapshot_bytes=snapshot.nbytes if search else 0,
        checkpoint_bytes=_bytes_in(directory.checkpoints),
        weights_bytes=directory.model.stat().st_size,
        step_record_bytes=_record_bytes(directory),
        peak_host_bytes=_peak_host_bytes(),
        peak_device_bytes=torch.cuda.max_memory_allocated() if plan.device.type == "cuda" else None,
    )


def _step_seconds(plan: Plan, trainer: Trainer, steps: int) -> float:
    """Return the seconds of a step, averaged over the phases by their share of the run."""
    first, weighted = 0, 0.0
    for number, phase in enumerate(plan.phases):
        own = max(1, round(steps * phase.steps / plan.settings.run.max_steps))
        steps_here = range(first, first + min(UNTIMED_STEPS + own, phase.steps))
        times = [_seconds(partial(_step, trainer, number, step), trainer) for step in steps_here]
        weighted += phase.steps * fmean(times[UNTIMED_STEPS:] or times)
        first += phase.steps
    return weighted / plan.settings.run.max_steps


def _step(trainer: Trainer, phase: int, step: int) -> None:
    """Make one step at a tiny LR: what it learns does not matter, that it stays finite does."""
    loss, _ = trainer.advance(phase, step, 1e-6, "training")
    trainer.journal.write(events.Step(1e-6, loss, trainer.state.outcome.examples))


def _full_seconds(trainer: Trainer) -> float:
    if not isinstance(trainer.engine.recipe, FullyMeasured):
        return 0.0
    return _seconds(lambda: trainer.engine.measure_fully(trainer.engine.model), trainer)


def _question_seconds(plan: Plan) -> float:
    """Return the mean seconds between two trials of the longest stage, whose losses are made up."""
    preload()
    assert plan.search is not None
    policy = plan.search.policy(plan.outline)
    # The first stage is opened in any case: what a later one asks may go by what it found.
    longest = max(plan.stages, key=lambda stage: stage.trial_steps, default=None)
    opened = [plan.outline.warmup_steps, *([] if longest is None else [longest.first_step])]
    for first in opened[:-1]:
        policy.next_stage(first)
        if first != opened[-1]:
            _answer_all(policy)
            policy.choose()
    if policy.next_stage(opened[-1]) is None:
        return 0.0
    began = time.perf_counter()
    questions = _answer_all(policy)
    return (time.perf_counter() - began) / max(1, questions)


def _answer_all(policy: SearchPolicy) -> int:
    """Answer every question of the open stage with made-up losses; return how many there were."""
    questions = 0
    while trial := policy.ask():
        questions += 1
        points = trial.scored_at or tuple(range(1, trial.steps + 1))
        losses = tuple(1.0 + 0.1 * questions + 2.0 / (1.0 + 0.1 * point) for point in points)
        policy.tell(trial, Curve(points, losses, trial.kind, trial.weights))
    return questions


def _seconds(work: Callable[[], object], trainer: Trainer) -> float:
    trainer.engine.synchronize()
    began = time.perf_counter()
    work()
    trainer.engine.synchronize()
    return time.perf_counter() - began


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _record_bytes(directory: RunDirectory) -> float:
    lines = [line for line in directory.journal.read_bytes().splitlines() if b'"event":"step"' in line]
    # The numbers of a long run have a few digits more.
    return fmean(len(line) + 4 for line in lines) if lines else 0.0


def _peak_host_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
