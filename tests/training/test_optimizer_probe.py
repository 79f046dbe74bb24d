"""An optimizer that could not be brought back is found out before training, and the person told what to do."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from harness import composed, planned
from own_optimizers import FlatMomentum, Forgetful, GroupScaled, OwnKeys, Switching
from torch.optim import Optimizer

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.optimizer_factory import optimizer_factory
from autolrs_cli.runner.plan import check
from autolrs_cli.training.optimizer_probe import require_restorable
from autolrs_recipes.optimizers import from_class

TORCHS = [
    name
    for name, found in vars(torch.optim).items()
    if isinstance(found, type) and issubclass(found, Optimizer) and found is not Optimizer
]
# They ask for a closure, for parameters of two dimensions, for sparse gradients.
UNFIT = {"LBFGS": "closure|parameter groups", "Muon": "2D", "SparseAdam": "dense gradients"}


def factory(kind: type, **settings: Any) -> Any:
    return lambda groups: from_class(groups, make=lambda g, **more: kind(g, **settings, **more), kind=kind)


@pytest.mark.parametrize("kind", [FlatMomentum, GroupScaled, OwnKeys, Switching])
def test_one_that_gives_out_its_state_is_taken(kind: type) -> None:
    require_restorable(factory(kind))


@pytest.mark.parametrize("name", TORCHS)
def test_every_optimizer_of_torch_is_taken_or_refused_in_words(name: str) -> None:
    if name in UNFIT:
        with pytest.raises(ConfigError, match=UNFIT[name]):
            optimizer_factory({"_target_": f"torch.optim.{name}"})
    else:
        optimizer_factory({"_target_": f"torch.optim.{name}"})


def test_state_in_an_attribute_is_found_and_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("recipe=toy", "optimizer=forgetful"))
    (problem,) = caught.value.problems
    assert "`optimizer` must go on from a saved state as if nothing had happened" in problem
    assert "Forgetful, brought back to a copy of its state" in problem
    assert "It keeps count outside its state_dict()" in problem
    assert "state_dict() and take it in load_state_dict()" in problem


def test_one_that_only_a_checkpoint_cannot_bring_back_is_found() -> None:
    class Deaf(OwnKeys):
        """Takes back what it is given only while it runs: a fresh one begins anew."""

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            steps = self.steps
            super().load_state_dict(state_dict)
            self.steps = self.steps if steps else 0

    with pytest.raises(ConfigError, match=r"Deaf\.load_state_dict does not bring back"):
        require_restorable(factory(Deaf))


def test_a_closure_is_refused_in_words() -> None:
    class Closed(Forgetful):
        def step(self, closure: Any) -> None:  # type: ignore[override]
            closure()

    with pytest.raises(ConfigError, match="gradients alone, but Closed asks for a closure"):
        require_restorable(factory(Closed))


def test_what_cannot_be_written_is_refused_with_its_key() -> None:
    class Hooked(Forgetful):
        def step(self, closure: None = None) -> None:
            self.param_groups[1]["hook"] = print

    with pytest.raises(ConfigError, match=r"Hooked optimizer\.param_groups\.1\.hook"):
        require_restorable(factory(Hooked))


def test_groups_must_keep_their_lr_ratio() -> None:
    def forgets(groups: list[Any]) -> Optimizer:
        return torch.optim.SGD([p for group in groups for p in group.parameters], lr=0.1)

    with pytest.raises(ConfigError, match="groups without lr_ratio"):
        require_restorable(forgets)


@pytest.mark.parametrize("made", [dict, object])
def test_something_else_than_an_optimizer_is_refused(made: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"must build a torch.optim.Optimizer, but it builds {made.__name__}"
    ):
        require_restorable(lambda _: made())


def test_random_streams_stay_as_they_were_even_where_the_optimizer_draws() -> None:
    class Noisy(Forgetful):
        @torch.no_grad()
        def step(self, closure: None = None) -> None:
            noise = random.random() + np.random.rand()  # noqa: NPY002
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * (p.grad + noise * torch.randn_like(p)))

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    require_restorable(factory(Noisy))
    assert torch.get_rng_state().equal(before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


class TestAClassOfTorch:
    def test_it_gets_a_group_for_each_of_the_recipes_groups(self) -> None:
        plan = planned("recipe=toy", "optimizer=rmsprop")
        model = plan.recipe.model()
        optimizer = plan.make_optimizer(plan.recipe.parameter_groups(model))
        first, rest = optimizer.param_groups
        assert type(optimizer) is torch.optim.RMSprop
        assert (first["name"], first["lr_ratio"], first["weight_decay"]) == ("first", 0.5, 1e-4)
        assert (rest["name"], rest["lr_ratio"], rest["weight_decay"]) == ("rest", 1.0, 0.0)
        assert first["alpha"] == 0.9

    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            (("optimizer.alpha=much",), "`optimizer.alpha`"),
            (("optimizer.alpha=-1",), "alpha"),
            (("+optimizer.beta=1",), "`optimizer.beta` is not a setting"),
            (("+optimizer.lr=1",), "`optimizer.lr` has no effect: the LR comes from the schedule"),
        ],
    )
    def test_its_settings_are_checked(self, overrides: tuple[str, ...], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            planned("recipe=toy", "optimizer=rmsprop", *overrides)

    def test_one_that_must_be_given_an_lr_is_given_one(self) -> None:
        class Demanding(torch.optim.SGD):
            def __init__(self, params: Any, lr: float) -> None:
                assert lr > 0
                super().__init__(params, lr=lr)

        require_restorable(factory(Demanding))
