"""What an optimizer cannot go with is refused before training, in one message; what speaks against it is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from harness import composed, planned

from autolrs_cli.errors import ConfigError, UnfitGroupsError
from autolrs_cli.runner.optimizer_factory import optimizer_factory
from autolrs_cli.runner.optimizer_fit import optimizer_warnings, require_trainable
from autolrs_cli.runner.plan import check
from autolrs_cli.training.optimizer_probe import require_restorable, takes_any_groups
from autolrs_recipes.bert import Bert
from autolrs_recipes.models.bert import PretrainingBert

SWITCHING, PRODIGY = ("recipe=toy", "optimizer=switching"), ("recipe=toy", "optimizer=prodigy")


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check(composed(*overrides))
    (problem,) = caught.value.problems
    return problem


def warned(*overrides: str) -> str:
    return "; ".join(optimizer_warnings(planned(*overrides)))


def test_an_average_of_an_optimizers_own_average_is_refused() -> None:
    said = refused(*SWITCHING, "average=ema", "schedule=constant")
    assert (
        "`average=ema` averages the weights that are trained, but Switching is judged by an average" in said
    )
    assert "Leave `average` out" in said


@pytest.mark.parametrize("schedule", ["autolrs", "random"])
def test_no_lr_is_searched_for_an_optimizer_that_estimates_its_own(schedule: str) -> None:
    pytest.importorskip("prodigyopt")
    said = refused(*PRODIGY, f"schedule={schedule}")
    assert f"`schedule={schedule}` searches for LRs, but Prodigy estimates its own" in said
    assert "schedule=cosine" in said


@pytest.mark.parametrize(
    "schedule", ["cosine", "linear", "inverse_square_root", "clr", "plateau", "original"]
)
def test_one_that_averages_is_warned_of_an_lr_that_changes(schedule: str) -> None:
    assert f"that of schedule={schedule} changes; set schedule=constant" in warned(
        *SWITCHING, f"schedule={schedule}"
    )


def test_one_that_averages_may_be_searched_for_with_a_warning() -> None:
    assert "that of schedule=autolrs changes" in warned(*SWITCHING)


def test_a_constant_lr_after_its_warm_up_is_no_reason_to_warn() -> None:
    assert warned(*SWITCHING, "schedule=constant") == ""
    assert warned("recipe=toy", "schedule=cosine") == ""


def test_prodigy_is_warned_of_a_factor_far_from_1() -> None:
    pytest.importorskip("prodigyopt")
    said = warned(*PRODIGY, "schedule=cosine")
    assert "is 0.1; set schedule.peak_lr=1.0" in said
    assert "set original_schedule.peak_lr=1.0" in warned(*PRODIGY, "schedule=original")
    assert warned(*PRODIGY, "schedule=cosine", "schedule.peak_lr=1.0") == ""


@pytest.mark.parametrize("recipe", ["resnet50", "transformer", "bert"])
def test_under_prodigy_the_recipes_schedules_peak_at_1(recipe: str) -> None:
    for schedule in ("cosine", "constant"):
        config = composed(f"recipe={recipe}", "optimizer=prodigy", f"schedule={schedule}")
        assert config["schedule"]["peak_lr"] == 1.0
    given = composed(f"recipe={recipe}", "optimizer=prodigy", "schedule=cosine", "schedule.peak_lr=0.5")
    assert given["schedule"]["peak_lr"] == 0.5
    assert composed(f"recipe={recipe}", "schedule=cosine")["schedule"]["peak_lr"] < 1.0


def test_groups_that_prodigy_cannot_train_are_found_before_training() -> None:
    pytest.importorskip("prodigyopt")
    with pytest.raises(UnfitGroupsError, match=r"lr_ratio first: 0\.5, rest: 1"):
        require_trainable(planned(*PRODIGY, "schedule=cosine"))


class TestMuon:
    @pytest.fixture(autouse=True)
    def _there(self) -> None:
        torch = pytest.importorskip("torch")
        if not hasattr(torch.optim, "Muon"):
            pytest.skip("torch has no Muon")

    def test_a_recipe_without_matrices_is_refused(self) -> None:
        with pytest.raises(UnfitGroupsError, match="names none"):
            require_trainable(planned("recipe=toy", "optimizer=muon"))

    def test_convolutions_are_refused_or_flattened(self) -> None:
        images = ("recipe=resnet50", "scale=tiny", "optimizer=muon")
        with pytest.raises(UnfitGroupsError, match=r"optimizer\.flatten_kernels=true"):
            require_trainable(planned(*images))
        plan = planned(*images, "optimizer.flatten_kernels=true")
        require_trainable(plan)
        model = plan.recipe.model()
        groups = plan.make_optimizer(plan.recipe.parameter_groups(model)).param_groups
        hidden = [p for group in groups if group["muon"] for p in group["params"]]
        left = {
            name for name, p in model.named_parameters() if p.ndim > 1 and all(p is not h for h in hidden)
        }
        assert left == {"stem.0.weight", "fc.weight"}
        assert all(p.ndim == 4 for p in hidden)

    def test_of_bert_it_trains_neither_embeddings_nor_heads(self) -> None:
        sizes = {"hidden": 8, "layers": 1, "heads": 2, "intermediate": 16, "dropout": 0.0, "max_length": 16}
        model = PretrainingBert(**sizes).build(vocab_size=20)
        own_groups = Bert.parameter_groups(SimpleNamespace(), model)  # type: ignore[arg-type]
        factory = optimizer_factory(composed("recipe=bert", "optimizer=muon")["optimizer"])
        groups = factory(own_groups).param_groups
        hidden = {id(p) for group in groups if group["muon"] for p in group["params"]}
        names = {name for name, p in model.named_parameters() if id(p) in hidden}
        layer, ends = "bert.encoder.layer.0.", {"bert.pooler.dense", "cls.predictions.transform.dense"}
        inner = ("attention.self.query", "attention.self.key", "attention.self.value")
        more = ("attention.output.dense", "intermediate.dense", "output.dense")
        assert names == {f"{at}.weight" for at in {*ends, *(layer + each for each in (*inner, *more))}}


def test_the_usual_optimizers_take_any_groups() -> None:
    assert takes_any_groups(planned("recipe=toy").make_optimizer)


def test_one_that_takes_no_groups_at_all_is_refused() -> None:
    def never(_: object) -> None:
        raise UnfitGroupsError("no")

    with pytest.raises(ConfigError, match="must be able to train some parameter groups"):
        require_restorable(never)
