"""Nothing in a step asks the device for a number: shown on torch's `meta` device, whose tensors have none to give."""

from __future__ import annotations

import pytest
import torch
from harness import planned

from autolrs_cli.contracts import Batch, PlacedBatch, Position, on_host
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.training.optimizer_state import make_ready, set_lr

META = torch.device("meta")


def placed(batch: Batch) -> Batch:
    return PlacedBatch({name: tensor.to(META) for name, tensor in batch.items()}, batch)


@pytest.mark.parametrize("recipe", ["resnet50", "transformer", "bert"])
def test_a_step_and_a_held_out_pass_need_no_number_of_the_device(recipe: str) -> None:
    plan = planned(f"recipe={recipe}", "scale=tiny")
    prepare_data(plan.recipe)
    model = plan.recipe.model().to(META).train()
    optimizer = plan.make_optimizer(plan.recipe.parameter_groups(model))  # with its clipping
    make_ready(optimizer)
    stream = plan.recipe.train_stream(0, 0)
    for step in range(3):
        batch = stream.batch(Position(0, step, 0))
        there = placed(batch)
        set_lr(optimizer, 0.1)
        loss_sum, weight = plan.recipe.loss(model, there)
        assert (loss_sum.device, loss_sum.shape) == (META, ())
        assert weight == plan.recipe.terms(batch)  # type: ignore[attr-defined]
        (loss_sum / weight).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert plan.recipe.examples(there) == plan.recipe.examples(batch)
    model.eval()
    held_out = plan.recipe.eval_stream("choose").batch(0)
    with torch.no_grad():
        measured = plan.recipe.measure(model, placed(held_out))
    assert all(value.device == META and weight > 0 for value, weight in measured.values())


def test_a_batch_that_was_copied_remembers_what_it_was_copied_from() -> None:
    batch = {"tokens": torch.arange(3)}
    assert on_host(batch) is batch
    assert on_host(placed(batch)) is batch
