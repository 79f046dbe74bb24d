"""`runtime.compile`: one graph per recipe, none more when LRs and shapes change, and the loss that it is without."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from harness import assert_equal_weights, composed, events, planned, run
from killing import at_event, in_its_own_process, killed_by
from resuming import assert_same_run, resume

from autolrs_cli.contracts import Batch, Compilable, Position
from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.records import events as journal_events
from autolrs_cli.records.journal import Journal
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.loss_function import CompiledLoss, shaped

RECIPES = ("resnet50", "transformer", "bert")
STEPS = 10
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@functools.cache
def plan_of(recipe: str) -> Plan:
    plan = planned(f"recipe={recipe}", "scale=tiny")
    prepare_data(plan.recipe)
    return plan


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Let graphs be traced and guarded, but run by torch as it is: that takes no compiler. Yields dynamo's counts."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, mode: compiled(function, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters
    torch._dynamo.reset()


def engine_of(plan: Plan, mode: str) -> Engine:
    return Engine(plan.recipe, plan.make_optimizer, seed=0, device=plan.device, compiled=mode)  # type: ignore[arg-type]


def batches_of(plan: Plan, mode: str) -> list[Batch]:
    stream, shape = plan.recipe.train_stream(0, 0), shaped(plan.recipe, mode)  # type: ignore[arg-type]
    return [shape(cut(stream.batch(Position(0, step, 0)), step)) for step in range(STEPS)]


def cut(batch: Batch, step: int) -> Batch:
    """Let BERT's batches, which at this scale are all alike, have other numbers of masked places."""
    return {name: t[: len(t) - step % 4] if name.startswith("masked") else t for name, t in batch.items()}


def losses(engine: Engine, batches: list[Batch]) -> list[float]:
    return [float(engine.step([batch], 0.001 * (step + 1))[0]) for step, batch in enumerate(batches)]


@pytest.mark.parametrize("mode", ["default", pytest.param("reduce-overhead", marks=pytest.mark.slow)])
@pytest.mark.parametrize("recipe", RECIPES)
@in_its_own_process
def test_each_recipe_is_one_graph_whatever_the_lr_and_the_shape(
    recipe: str, mode: str, traced: dict[str, Any]
) -> None:
    plan = plan_of(recipe)
    assert isinstance(plan.recipe, Compilable)
    batches = batches_of(plan, mode)
    if recipe != "resnet50" and mode == "default":
        assert len({tuple(t.shape for t in batch.values()) for batch in batches}) > 1
    found = losses(engine_of(plan, mode), batches)
    assert not traced["graph_break"]
    assert traced["stats"]["unique_graphs"] == 1
    if recipe != "transformer":  # padding changes which numbers dropout draws
        assert found == pytest.approx(losses(engine_of(plan, "none"), batches_of(plan, "none")), rel=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_of_few_shapes_has_the_same_loss_terms_and_examples(recipe: str) -> None:
    plan = plan_of(recipe)
    model, made = plan.recipe.model().eval(), plan.recipe
    for plain, even in zip(batches_of(plan, "none"), batches_of(plan, "reduce-overhead"), strict=True):
        (loss, weight), (even_loss, even_weight) = made.loss(model, plain), made.loss(model, even)
        assert even_loss.item() == pytest.approx(loss.item(), rel=1e-4)
        assert (even_weight, made.examples(even)) == (weight, made.examples(plain))


@pytest.mark.parametrize(("recipe", "most"), [("bert", 1), ("transformer", 8)])
def test_there_are_few_shapes(recipe: str, most: int) -> None:
    plan = plan_of(recipe)
    stream, shape = plan.recipe.train_stream(0, 0), shaped(plan.recipe, "reduce-overhead")
    read = [cut(stream.batch(Position(0, step, 0)), step) for step in range(100)]
    before, after = (
        {tuple(tuple(t.shape) for t in batch.values()) for batch in batches}
        for batches in (read, map(shape, read))
    )
    assert len(after) <= most < len(before)


def test_gradients_that_are_added_to_lie_where_no_graph_writes() -> None:
    loss = CompiledLoss(plan_of("resnet50").recipe, "reduce-overhead")
    parameter = torch.nn.Parameter(torch.zeros(2))
    pool = torch.tensor([1.0, 2.0])
    parameter.grad = pool
    loss.keep([parameter], first=True)
    pool.zero_()  # the next replay
    assert parameter.grad.tolist() == [1.0, 2.0]
    own = parameter.grad
    loss.keep([parameter], first=False)
    assert parameter.grad is own, "what is in memory of its own is not copied again"
    parameter.grad = pool
    loss.keep([parameter], first=True)
    assert parameter.grad is not pool


def test_without_a_compiler_it_is_refused_before_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(
        ConfigError, match=r"runtime\.compile=default` needs a compiler, but there is no g\+\+"
    ):
        check(composed("recipe=toy", "runtime.compile=default"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"no no-such-compiler here.*name it in CXX"):
        check(composed("recipe=toy", "runtime.compile=default"))
    check(composed("recipe=toy", "runtime.compile=none"))


def test_what_cannot_be_compiled_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        def compiled(*_: Any) -> None:
            raise torch._dynamo.exc.TorchDynamoException("the compiler ended with 1\nmuch more")

        return compiled

    monkeypatch.setattr(torch, "compile", fails)
    plan = plan_of("resnet50")
    with pytest.raises(TrainingError, match=r"the compiler ended with 1 Set runtime\.compile=none"):
        losses(engine_of(plan, "default"), batches_of(plan, "default"))


@pytest.mark.slow
@needs_compiler
@in_its_own_process
def test_a_compiled_run_is_that_without_but_for_rounding_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    settings = ("recipe=bert", "scale=tiny", "runtime.compile=default")  # without dropout
    run(tmp_path / "plain", *settings[:2])
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    run(tmp_path / "whole", *settings)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    first, other = ([r["loss"] for r in events(tmp_path / name, "step")][:10] for name in ("plain", "whole"))
    assert first == pytest.approx(other, rel=1e-4)
    assert events(tmp_path / "whole", "run_started")[0]["description"]["compile"] == "default"

    stopped = mock.patch.object(Journal, "write", at_event(journal_events.TrialStep, 30))
    assert killed_by(lambda: stopped, lambda: run(tmp_path / "killed", *settings))
    torch._dynamo.reset()
    assert resume(tmp_path / "killed") == 0
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert_equal_weights(tmp_path / "killed", tmp_path / "whole")
