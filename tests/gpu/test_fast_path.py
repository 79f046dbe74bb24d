"""What makes a step fast on CUDA, and leaves a run the same: no waiting, compiled kernels, graphs under snapshots."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsFloat
from unittest import mock

import pytest
import torch
from harness import assert_equal_weights, events, planned, run
from processes import environment
from resuming import assert_same_run, resume

from autolrs_cli.contracts import PlacedBatch, Position
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.runner.torch_runtime import prepare
from autolrs_cli.training import engine as engine_module
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.late_reading import PendingLoss
from autolrs_cli.training.loader import TrainLoader
from autolrs_cli.training.loss_function import shaped
from autolrs_cli.training.placing import Placing
from autolrs_cli.training.snapshot import Snapshot

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
RECIPES = ("resnet50", "transformer", "bert")
MODES = ("none", "default", "reduce-overhead")
CUDA = torch.device("cuda")


def tiny(recipe: str, *more: str) -> tuple[str, ...]:
    return (f"recipe={recipe}", "scale=tiny", "runtime.device=cuda", "dashboard=none", *more)


def plan_of(recipe: str, *more: str) -> Plan:
    plan = planned(*tiny(recipe, *more))
    prepare_data(plan.recipe)
    prepare(plan.settings.runtime, plan.threads)
    return plan


def engine_of(plan: Plan, mode: str) -> Engine:
    return Engine(
        plan.recipe,
        plan.make_optimizer,
        seed=0,
        device=plan.device,
        precision=plan.settings.runtime.precision,
        compiled=mode,  # type: ignore[arg-type]
    )


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_in_a_step_waits_for_the_device(recipe: str, mode: str) -> None:
    plan = plan_of(recipe, "runtime.precision=bf16")
    engine = engine_of(plan, mode)
    placing = Placing(CUDA, shaped(plan.recipe, mode))  # type: ignore[arg-type]
    loader = TrainLoader(plan.recipe.train_stream(0, 0), 0, 0, CUDA, placing=placing)
    for step in range(6):  # compiles, records, fills allocators
        engine.step(loader.read(), 0.001 * step, loader.micro_batches)
    pending = []
    with waiting_is_an_error():
        for step in range(6):
            pending.append(engine.step(loader.read(), 0.001 * step, loader.micro_batches)[0])
            loader.read_ahead()
    assert all(isinstance(loss, PendingLoss) for loss in pending)
    assert all(0 < float(loss) < 100 for loss in pending)


def test_a_loss_is_that_of_its_own_step_however_late_it_is_read() -> None:
    late, at_once = (engine_of(plan_of("bert"), "none") for _ in range(2))
    stream = late.recipe.train_stream(0, 0)
    batches = [Placing(CUDA).place(stream.batch(Position(0, step, 0))) for step in range(8)]
    pending = [late.step([batch], 0.01)[0] for batch in batches]
    assert [float(loss) for loss in pending] == [float(at_once.step([batch], 0.01)[0]) for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("recipe", RECIPES)
def test_batches_read_ahead_are_those_of_the_stream(recipe: str, workers: int) -> None:
    stream = plan_of(recipe).recipe.train_stream(0, 0)
    loader = TrainLoader(stream, 0, workers, CUDA)
    for step in (0, 1, 2, 7, 8, 3):
        loader.seek(step)
        (batch,) = loader.read()
        loader.read_ahead()
        torch.cuda._sleep(10_000_000)  # what computes comes after what copies
        assert isinstance(batch, PlacedBatch)
        wanted = stream.batch(Position(0, step, 0))
        for name, tensor in wanted.items():
            assert batch[name].is_cuda
            assert batch[name].cpu().equal(tensor)
            assert batch[name].stride() == tensor.stride()
            assert batch.host[name].is_pinned()


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_what_follows_a_restore_is_what_followed_the_save_compiled_too(recipe: str, mode: str) -> None:
    """Graphs are recorded before, between and after: at the untrained state, with and without an optimizer's state."""
    plan = plan_of(recipe)
    engine = engine_of(plan, mode)
    stream, shape = plan.recipe.train_stream(0, 0), shaped(plan.recipe, mode)  # type: ignore[arg-type]
    placing = Placing(CUDA, shape)
    batches = [placing.place(stream.batch(Position(0, step, 0))) for step in range(4)]

    def advance() -> list[float]:
        return [float(engine.step([batch], 0.01)[0]) for batch in batches]

    snapshot = Snapshot(engine.model, engine.optimizer)
    snapshot.save()
    untrained = advance()
    for _ in range(3):
        snapshot.restore()
        assert advance() == untrained
    snapshot.save()
    trained = advance()
    assert trained != untrained
    for _ in range(2):
        snapshot.restore()
        assert advance() == trained


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_step_of_several_micro_batches_has_the_gradients_of_one_that_is_not_compiled(mode: str) -> None:
    plan = plan_of("bert", "recipe.micro_batch=2")
    stream = plan.recipe.train_stream(0, 0)
    found = []
    for compiled in ("none", mode):
        engine = engine_of(plan, compiled)
        placing = Placing(CUDA, shaped(plan.recipe, compiled))  # type: ignore[arg-type]
        for step in range(4):
            parts = [placing.place(stream.batch(Position(0, step, micro))) for micro in range(4)]
            engine.step(parts, 0.0, len(parts))
        found.append([p.grad.clone() for p in engine.model.parameters() if p.grad is not None])
    for eager, other in zip(*found, strict=True):
        torch.testing.assert_close(other, eager, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_in_mid_search_a_run_ends_as_one_that_was_not(
    tmp_path: Path, precision: str, mode: str
) -> None:
    settings = tiny("resnet50", f"runtime.precision={precision}", f"runtime.compile={mode}")
    run(tmp_path / "whole", *settings)
    assert _in_a_process(RUN_UNTIL_KILLED, tmp_path / "killed", settings).wait() == -signal.SIGKILL
    assert resume(tmp_path / "killed") == 0
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


RUN = "import sys; from pathlib import Path; from harness import run; run(Path(sys.argv[1]), *sys.argv[2:])"
RUN_UNTIL_KILLED = """
import sys
from pathlib import Path
from typing import SupportsFloat
from unittest import mock

from harness import run
from killing import at_event

from autolrs_cli.records.events import TrialStep
from autolrs_cli.records.journal import Journal

with mock.patch.object(Journal, "write", at_event(TrialStep, 50)):
    run(Path(sys.argv[1]), *sys.argv[2:])
"""


def _in_a_process(code: str, directory: Path, settings: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Begin a run in a process of its own: CUDA cannot be used in a fork."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join((str(tests), str(tests / "user"), environment().get("PYTHONPATH", "")))
    command = [sys.executable, "-c", code, str(directory), *settings]
    return subprocess.Popen(command, env={**environment(), "PYTHONPATH": path})


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_compiled_run_begins_with_the_losses_of_one_that_is_not(tmp_path: Path, recipe: str) -> None:
    extra = ("model.dropout=0.0",) if recipe == "transformer" else ()
    first = []
    for mode in MODES:
        run(tmp_path / mode, *tiny(recipe, f"runtime.compile={mode}", "schedule=original", *extra))
        first.append([r["loss"] for r in events(tmp_path / mode, "step")][:5])
    assert first[1] == pytest.approx(first[0], rel=1e-3)
    assert first[2] == pytest.approx(first[0], rel=1e-3)


def test_a_diverging_trial_ends_at_its_own_step(tmp_path: Path) -> None:
    """The loss that is read late is not taken for that of the step that was made meanwhile."""
    made, calls = engine_module.mean_loss, itertools.count(1)

    def wrapped(loss_sum: torch.Tensor, weight: float) -> SupportsFloat:
        return made(loss_sum, math.nan if next(calls) == 10 + 15 else weight)

    with mock.patch.object(engine_module, "mean_loss", wrapped):
        # A warm-up of 10 steps, then trials of 20.
        run(tmp_path, "recipe=toy", "runtime.device=cuda", "dashboard=none")
    first, second, *_ = events(tmp_path, "trial_finished")
    assert (first["status"], first["steps"]) == ("diverged", 15)
    assert (second["status"], second["steps"]) == ("ok", 20)


def test_two_runs_on_one_device_are_those_that_had_it_alone(tmp_path: Path) -> None:
    settings = {seed: tiny("resnet50", "schedule=original", f"seed={seed}") for seed in (0, 1)}
    both = [_in_a_process(RUN, tmp_path / f"beside{seed}", own) for seed, own in settings.items()]
    assert [each.wait() for each in both] == [0, 0]
    for seed, own in settings.items():
        run(tmp_path / f"alone{seed}", *own)
        assert_equal_weights(tmp_path / f"beside{seed}", tmp_path / f"alone{seed}")


def test_a_run_with_too_small_a_part_of_the_device_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLRS_GPU_SHARE", "1e-6")
    try:
        result = run(tmp_path, "recipe=bert", "scale=tiny")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.cause == "out_of_memory"
    assert "launcher.gpus" in str(result.reason)
