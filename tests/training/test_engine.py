"""One optimizer step: its gradient does not depend on how the batch is cut, nor its LR on the group order."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from toy_recipe import ToyRecipe

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.errors import TrainingError
from autolrs_cli.training.engine import Engine
from autolrs_recipes.optimizers import sgd


def engine(recipe: ToyRecipe | None = None) -> Engine:
    recipe = recipe or ToyRecipe(name="toy", global_batch=12, micro_batches=1, num_phases=1)
    return Engine(
        recipe,
        lambda groups: sgd(groups, momentum=0.0, nesterov=False, weight_decay=0.0),
        seed=0,
        device=torch.device("cpu"),
    )


def batch() -> Batch:
    return (
        ToyRecipe(name="toy", global_batch=12, micro_batches=1, num_phases=1)
        .train_stream(0, 0)
        .batch(Position(0, 0, 0))
    )


@pytest.mark.parametrize("cuts", [(6,), (4, 8), (1, 2), (1, 11), (0, 5)], ids=str)
def test_the_step_does_not_depend_on_the_cut_into_micro_batches(cuts: tuple[int, ...]) -> None:
    whole, cut = engine(), engine()
    for e in (whole, cut):
        e.model.eval()  # BatchNorm and dropout see micro-batches; the loss's own arithmetic must not
    full = batch()
    parts = [
        {name: tensor[a:b] for name, tensor in full.items()}
        for a, b in zip((0, *cuts), (*cuts, 12), strict=True)
    ]
    (loss, examples), (cut_loss, cut_examples) = whole.step([full], 0.1), cut.step(parts, 0.1, len(parts))
    assert loss == pytest.approx(cut_loss, rel=1e-12)
    assert examples == cut_examples == 12
    for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_step_without_any_term_is_an_error_not_a_nan() -> None:
    nothing = {name: tensor[:0] for name, tensor in batch().items()}
    e = engine()
    e.model.eval()
    with pytest.raises(TrainingError, match="at least one term"):
        e.step([nothing], 0.1)


def test_the_same_seed_seeds_every_global_stream() -> None:
    draws = []
    for _ in range(2):
        engine()
        draws.append((float(torch.rand(())), random.random(), float(np.random.rand())))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_each_group_keeps_its_lr_ratio() -> None:
    e = engine()
    before = [p.detach().clone() for p in e.model.parameters()]
    e.step([batch()], 0.2)
    ratios = [0.5, 1, 1, 1, 1, 1]
    for p, old, ratio in zip(e.model.parameters(), before, ratios, strict=True):
        torch.testing.assert_close(old - p.detach(), 0.2 * ratio * p.grad)


def test_measuring_changes_nothing() -> None:
    e = engine()
    state = {name: t.clone() for name, t in e.model.state_dict().items()}
    random_state = torch.get_rng_state()
    measures = e.measure([batch(), batch()])
    assert set(measures) == {"loss", "accuracy"}
    assert e.model.training
    assert all(t.equal(state[name]) for name, t in e.model.state_dict().items())
    assert torch.get_rng_state().equal(random_state)


def test_the_mean_of_a_measure_is_over_terms_not_batches() -> None:
    e = engine()
    full = batch()
    parts = [{k: t[:2] for k, t in full.items()}, {k: t[2:] for k, t in full.items()}]
    assert e.measure(parts)["loss"] == pytest.approx(e.measure([full])["loss"], rel=1e-12)


def test_bf16_computes_under_autocast_and_keeps_float32_weights() -> None:
    class Probe(ToyRecipe):
        def model(self) -> nn.Module:
            return super().model().float()

        def loss(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
            out = model(batch["points"].float())
            seen.append(out.dtype)
            return out.float().square().sum(), 1.0

    seen: list[torch.dtype] = []
    recipe = Probe(name="toy", global_batch=12, micro_batches=1, num_phases=1)
    e = Engine(
        recipe,
        lambda groups: sgd(groups, momentum=0.9, nesterov=True, weight_decay=0.0),
        seed=0,
        device=torch.device("cpu"),
        precision="bf16",
    )
    e.step([batch()], 0.1)
    assert seen == [torch.bfloat16]
    assert {p.dtype for p in e.model.parameters()} == {torch.float32}
