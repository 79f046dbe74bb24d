"""Schedule-free ones, Prodigy and Muon make the steps of the packages they come from, and say what they cannot do."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from autolrs_cli.contracts import ParameterGroup
from autolrs_cli.errors import ConfigError, UnfitGroupsError
from autolrs_cli.training.optimizer_probe import require_restorable
from autolrs_cli.training.optimizer_state import evaluation_weights, make_ready, set_lr
from autolrs_recipes.models.hidden import hidden_weights
from autolrs_recipes.optimizers import muon, parts, prodigy, schedulefree_adamw, schedulefree_sgd
from autolrs_recipes.optimizers.muon import _as_matrix

FREE_SGD = {"momentum": 0.9, "weight_decay": 0.1, "r": 0.0, "weight_lr_power": 2.0, "batchnorm_batches": 2}
FREE_ADAMW = {
    "betas": [0.9, 0.99],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "r": 0.0,
    "weight_lr_power": 2.0,
    "max_grad_norm": None,
    "batchnorm_batches": 2,
}
PRODIGY = {
    "betas": [0.9, 0.99],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "use_bias_correction": True,
    "safeguard_warmup": True,
    "d0": 1e-3,
    "d_coef": 1.0,
    "growth_rate": None,
    "max_grad_norm": None,
}
MUON = {
    "hidden_lr_ratio": 2.0,
    "rest_lr_ratio": 0.5,
    "flatten_kernels": True,
    "momentum": 0.9,
    "nesterov": True,
    "ns_steps": 5,
    "adjust_lr": "match_rms_adamw",
    "betas": [0.9, 0.95],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "max_grad_norm": None,
}
WARMUP, STEPS, PEAK = 4, 12, 0.05


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.Flatten(),
        nn.Linear(80, 7),
        nn.Linear(7, 2),
    )
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def groups(model: nn.Module, ratio: float = 1.0) -> list[ParameterGroup]:
    weights = [p for p in model.parameters() if p.ndim > 1]
    hidden = hidden_weights(model, outer=(model[0], model[-1]))
    return [
        ParameterGroup("weights", weights, hidden=hidden),
        ParameterGroup("biases", [p for p in model.parameters() if p.ndim == 1], decay=False, lr_ratio=ratio),
    ]


def give_gradients(model: nn.Module, step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    images = torch.randn(4, 3, 8, 8, generator=draw).to(memory_format=torch.channels_last)
    model.zero_grad()
    (model(images) - 1).square().mean().backward()


def warming_up(step: int) -> float:
    return PEAK * min(1.0, (step + 1) / WARMUP)


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, lr_at: Callable[[int], float]) -> None:
    make_ready(optimizer)
    for step in range(STEPS):
        give_gradients(model, step)
        set_lr(optimizer, lr_at(step))
        optimizer.step()


def by_hand(model: nn.Module, optimizer: torch.optim.Optimizer, lr_at: Callable[[int], float] | None) -> None:
    """As the packages' own examples train."""
    for step in range(STEPS):
        give_gradients(model, step)
        for group in optimizer.param_groups if lr_at else ():
            group["lr"] = lr_at(step) * group["of"]
        optimizer.step()


def split(model: nn.Module, ratio: float = 1.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1, "of": 1.0, **more},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0, "of": ratio, **more},
    ]


def assert_same(one: nn.Module, other: nn.Module, tolerance: float = 0.0) -> None:
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance, msg=name)


class TestScheduleFree:
    @pytest.fixture(params=["sgd", "adamw"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Ours from groups, and the package's own from torch's groups."""
        library = pytest.importorskip("schedulefree")
        if request.param == "sgd":
            return (
                lambda made: schedulefree_sgd(made, **FREE_SGD),
                lambda made, **more: library.SGDScheduleFree(made, lr=PEAK, momentum=0.9, **more),
            )
        return (
            lambda made: schedulefree_adamw(made, **FREE_ADAMW),
            lambda made, **more: library.AdamWScheduleFree(made, lr=PEAK, betas=(0.9, 0.99), **more),
        )

    def test_it_makes_the_packages_steps_and_is_judged_by_the_packages_average(self, pair: Any) -> None:
        ours, theirs = pair
        model = network()
        reference = copy.deepcopy(model)
        optimizer, original = ours(groups(model, 0.5)), theirs(split(reference, 0.5))
        original.train()
        trained(model, optimizer, warming_up)
        by_hand(reference, original, warming_up)
        assert_same(model, reference)
        original.eval()
        with evaluation_weights(optimizer):
            assert_same(model, reference)

    def test_the_schedules_warm_up_is_the_packages_warm_up(self, pair: Any) -> None:
        ours, theirs = pair
        model = network()
        reference = copy.deepcopy(model)
        trained(model, ours(groups(model)), warming_up)
        original = theirs(split(reference), warmup_steps=WARMUP)
        original.train()
        by_hand(reference, original, None)
        assert_same(model, reference, tolerance=1e-6)

    def test_its_average_is_that_of_the_paper(self) -> None:
        """Eq. 2-4 of [Defazio2024] with z and x kept apart; weights of steps: the highest LR so far, squared."""
        pytest.importorskip("schedulefree")
        model = network().double()
        optimizer = schedulefree_sgd(groups(model), **{**FREE_SGD, "weight_decay": 0.0})
        make_ready(optimizer)
        z = [p.detach().clone() for p in model.parameters()]
        x = [p.clone() for p in z]
        total = 0.0
        for step in range(STEPS):
            lr = warming_up(step)
            give_gradients_in_double(model, step)
            gradients = [p.grad.clone() for p in model.parameters()]
            set_lr(optimizer, lr)
            optimizer.step()
            total += lr**2  # the LR never falls here
            share = lr**2 / total
            z = [a - lr * g for a, g in zip(z, gradients, strict=True)]
            x = [(1 - share) * b + share * a for a, b in zip(z, x, strict=True)]
        for p, a, b in zip(model.parameters(), z, x, strict=True):
            torch.testing.assert_close(p.detach(), 0.1 * a + 0.9 * b, rtol=1e-9, atol=1e-11)
        with evaluation_weights(optimizer):
            for p, b in zip(model.parameters(), x, strict=True):
                torch.testing.assert_close(p.detach(), b, rtol=1e-9, atol=1e-11)


def give_gradients_in_double(model: nn.Module, step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    images = torch.randn(4, 3, 8, 8, generator=draw, dtype=torch.float64)
    model.zero_grad()
    (model(images) - 1).square().mean().backward()


class TestProdigy:
    def test_it_makes_the_packages_steps(self) -> None:
        library = pytest.importorskip("prodigyopt")
        model = network()
        reference = copy.deepcopy(model)
        optimizer = prodigy(groups(model), **PRODIGY)
        settings = {"use_bias_correction": True, "safeguard_warmup": True, "d0": 1e-3}
        original = library.Prodigy(split(reference), betas=(0.9, 0.99), **settings)
        trained(model, optimizer, lambda step: min(1.0, (step + 1) / WARMUP))
        by_hand(reference, original, lambda step: min(1.0, (step + 1) / WARMUP))
        assert_same(model, reference)
        estimates = {group["d"] for group in optimizer.param_groups}
        assert estimates == {group["d"] for group in original.param_groups}
        assert min(estimates) > 1e-3, "it never estimated anything"

    def test_it_prints_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("prodigyopt")
        prodigy(groups(network()), **PRODIGY)
        assert capsys.readouterr().out == ""

    def test_groups_at_several_lrs_are_refused_with_why(self) -> None:
        pytest.importorskip("prodigyopt")
        with pytest.raises(UnfitGroupsError, match=r"one LR .*lr_ratio weights: 1, biases: 0\.5"):
            prodigy(groups(network(), 0.5), **PRODIGY)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")
class TestMuon:
    def test_hidden_weights_take_muons_steps_and_the_others_adamws(self) -> None:
        model = network().to(memory_format=torch.contiguous_format)
        reference = copy.deepcopy(model)
        optimizer = muon(groups(model, 0.5), **MUON)
        # The kernel is trained as a matrix of its own, from the same gradients.
        kernel = nn.Parameter(reference[2].weight.detach().flatten(1).clone())
        matrices = [{"params": [reference[4].weight, kernel], "weight_decay": 0.1}]
        more = {"lr": 0.0, "momentum": 0.9, "adjust_lr_fn": "match_rms_adamw"}
        its_muon = torch.optim.Muon(matrices, **more)
        edges = [reference[0].weight, reference[5].weight]
        rest = [
            {"params": edges, "weight_decay": 0.1, "of": 0.5},
            {"params": [p for p in reference.parameters() if p.ndim == 1], "weight_decay": 0.0, "of": 0.25},
        ]
        its_adamw = torch.optim.AdamW(rest, lr=0.0, betas=(0.9, 0.95), fused=True)
        make_ready(optimizer)
        for step in range(STEPS):
            lr = warming_up(step)
            give_gradients(model, step)
            give_gradients(reference, step)
            set_lr(optimizer, lr)
            optimizer.step()
            its_muon.param_groups[0]["lr"] = 2 * lr
            for group in its_adamw.param_groups:
                group["lr"] = lr * group["of"]
            kernel.grad = reference[2].weight.grad.flatten(1)
            its_muon.step()
            its_adamw.step()
            with torch.no_grad():
                reference[2].weight.copy_(kernel.view_as(reference[2].weight))
        assert_same(model, reference)
        assert not model[2].weight.equal(network()[2].weight)

    def test_a_kernel_is_a_matrix_in_its_own_memory_whatever_its_format(self) -> None:
        """Its columns are another's in another order, and Muon does not look at their order."""
        kernel = torch.arange(2.0 * 3 * 2 * 2).view(2, 3, 2, 2)
        plain, last = (
            nn.Parameter(kernel.clone(memory_format=form))
            for form in (torch.contiguous_format, torch.channels_last)
        )
        for weight in (plain, last):
            weight.grad = weight.detach() + 100
            matrix = _as_matrix(weight)
            assert matrix.data_ptr() == weight.data_ptr()
            assert matrix.grad is not None
            assert matrix.grad.equal(matrix + 100)
            assert matrix.sort(dim=1).values.equal(kernel.flatten(1))
        assert _as_matrix(plain).equal(kernel.flatten(1))
        assert not _as_matrix(last).equal(kernel.flatten(1))

    def test_matrices_alone_are_muons_bit_for_bit(self) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4), nn.Linear(4, 2))
        reference = copy.deepcopy(model)
        hidden = [model[1].weight]
        others = [p for p in model.parameters() if p is not hidden[0]]
        made = [ParameterGroup("all", [*hidden, *others], hidden=hidden)]
        optimizer = muon(made, **{**MUON, "adjust_lr": "original"})
        its_muon = torch.optim.Muon([reference[1].weight], lr=0.02, weight_decay=0.1, momentum=0.9)
        set_lr(optimizer, 0.01)
        for step in range(STEPS):
            for p, q in zip(model.parameters(), reference.parameters(), strict=True):
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
                q.grad = p.grad.clone()
            optimizer.step()
            its_muon.step()
        assert model[1].weight.equal(reference[1].weight)

    def test_kernels_are_refused_unless_they_are_flattened(self) -> None:
        with pytest.raises(UnfitGroupsError, match=r"\[5, 6, 3, 3\].*optimizer.flatten_kernels=true"):
            muon(groups(network()), **{**MUON, "flatten_kernels": False})

    def test_a_recipe_that_names_no_matrices_is_refused(self) -> None:
        with pytest.raises(UnfitGroupsError, match=r"names none.*ParameterGroup.hidden"):
            muon([ParameterGroup("all", list(network().parameters()))], **MUON)

    def test_a_torch_without_it_is_told_its_least_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(torch.optim, "Muon")
        with pytest.raises(ConfigError, match=r"needs torch 2\.9 or later.*pip install 'torch>=2\.9'"):
            muon(groups(network()), **MUON)


class TestState:
    """The probe rewinds each in memory and through a checkpoint's bytes, and compares its steps bit for bit."""

    def test_of_schedule_free_ones_comes_back(self) -> None:
        pytest.importorskip("schedulefree")
        require_restorable(lambda made: schedulefree_sgd(made, **FREE_SGD))
        require_restorable(lambda made: schedulefree_adamw(made, **FREE_ADAMW))

    def test_of_prodigy_comes_back_with_its_estimate(self) -> None:
        pytest.importorskip("prodigyopt")
        # So large that the probe's few steps move the weights, and the estimate with them.
        require_restorable(lambda made: prodigy(made, **{**PRODIGY, "d0": 1.0}))

    @pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")
    @pytest.mark.parametrize("flatten", [True, False])
    def test_of_muon_comes_back(self, flatten: bool) -> None:
        require_restorable(lambda made: muon(made, **{**MUON, "flatten_kernels": flatten}))


@pytest.mark.parametrize(
    ("library", "make"),
    [
        ("schedulefree", lambda made: schedulefree_sgd(made, **FREE_SGD)),
        ("schedulefree", lambda made: schedulefree_adamw(made, **FREE_ADAMW)),
        ("prodigyopt", lambda made: prodigy(made, **PRODIGY)),
    ],
    ids=["schedulefree_sgd", "schedulefree_adamw", "prodigy"],
)
class TestAnAbsentLibrary:
    def test_is_named_with_the_optimizer_and_the_command(
        self, library: str, make: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ConfigError) as caught:
            make(groups(network()))
        (problem,) = caught.value.problems
        assert f"optimizer={request.node.callspec.id}` needs the library {library}" in problem
        assert "pip install 'autolrs[rivals]'" in problem

    def test_is_named_if_it_is_too_old(
        self, library: str, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, library, SimpleNamespace())
        monkeypatch.setattr(parts, "version", lambda _: "0.9.9")
        with pytest.raises(ConfigError, match=rf"{library} 1\.\d or later, but this is version 0\.9\.9"):
            make(groups(network()))


def test_hidden_weights_are_neither_outer_ones_nor_embeddings() -> None:
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(9, 4),
            "inner": nn.Linear(4, 4),
            "tied": nn.Linear(4, 9),
            "head": nn.Linear(4, 2),
        }
    )
    model["tied"].weight = model["words"].weight
    (found,) = hidden_weights(model, outer=[model["head"]])
    assert found is model["inner"].weight
