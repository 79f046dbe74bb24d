from __future__ import annotations

import pickle

import pytest
import torch
from refusals import as_node, node, told
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from autolrs_cli.contracts import Position, Recipe
from autolrs_recipes.data.images.digits import Digits
from autolrs_recipes.models.thin_resnet import ThinResNet
from autolrs_recipes.optimizers import sgd
from autolrs_recipes.resnet50 import ResNet50


def train_batch(recipe, step=0):
    return recipe.train_stream(0, seed=0).batch(Position(0, step, 0))


class TestRecipe:
    def test_is_a_recipe(self, recipe):
        made: Recipe = recipe()
        assert made.problems() == []
        assert made.metric.name == "accuracy"
        assert made.metric.direction == "max"
        assert made.example_unit == "images"
        assert made.fingerprint() == made.data.fingerprint()
        (phase,) = made.phases(100)
        assert (phase.steps, phase.global_batch) == (100, 32)
        assert made.examples(train_batch(made)) == 8
        assert made.train_stream(0, seed=0).micro_batches == 4

    def test_description_says_what_it_is_and_how_to_get_the_papers(self, recipe):
        description = recipe().describe()
        assert "digits" in description.data
        assert "thin" in description.model
        assert "scale=paper data=image_folder data.root=PATH" in description.to_get_the_papers
        assert description.sizes == {"train": 1304, "choose": 193, "target": 300}

    def test_no_micro_batch_means_all_at_once(self, recipe):
        assert recipe(micro_batch=None).train_stream(0, seed=0).micro_batches == 1

    def test_pickle_round_trip(self, recipe):
        made = recipe()
        copy = pickle.loads(pickle.dumps(made))
        assert torch.equal(train_batch(copy)["images"], train_batch(made)["images"])

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"global_batch": 0, "micro_batch": None}, "recipe.global_batch"),
            ({"global_batch": 1, "micro_batch": None}, "recipe.global_batch"),
            ({"global_batch": "x"}, "recipe.global_batch"),
            ({"micro_batch": 1}, "recipe.micro_batch"),
            ({"micro_batch": 5}, "recipe.micro_batch=5"),
            ({"micro_batch": 64}, "recipe.micro_batch=64"),
            ({"eval_batch": 0}, "recipe.eval_batch"),
        ],
    )
    def test_bad_batches_name_their_key(self, recipe, changes, key):
        (problem,) = recipe(told("recipe", ResNet50), **changes)
        assert key in problem

    def test_problems_of_all_parts_at_once(self, recipe, digits):
        model = node(ThinResNet, widths=[], blocks_per_stage=0, zero_init_residual="maybe", classifier_std=-1)
        data = digits(as_node(Digits), image_size=0)
        problems = recipe(told("recipe", ResNet50), eval_batch=0, model=model, data=data)
        assert len(problems) == 6

    @pytest.mark.parametrize("widths", [16, "16", [8, 0], [8, 1.5]])
    def test_bad_widths(self, widths):
        settings = {"blocks_per_stage": 1, "zero_init_residual": True, "classifier_std": 0.01}
        (problem,) = told("model", ThinResNet)(widths=widths, **settings)
        assert "model.widths" in problem


class TestLoss:
    def test_sums_do_not_depend_on_the_micro_batches(self, recipe):
        torch.manual_seed(0)
        model = recipe().model().eval()
        whole, weight = recipe().loss(model, train_batch(recipe(micro_batch=None)))
        stream = recipe().train_stream(0, seed=0)
        parts = [recipe().loss(model, stream.batch(Position(0, 0, m))) for m in range(4)]
        assert weight == sum(w for _, w in parts) == 32
        assert sum(loss.item() for loss, _ in parts) == pytest.approx(whole.item(), rel=1e-5)

    def test_bf16_autocast_gives_a_float32_loss(self, recipe):
        torch.manual_seed(0)
        model, batch = recipe().model(), train_batch(recipe())
        exact, _ = recipe().loss(model, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = recipe().loss(model, batch)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), rel=0.05)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())

    def test_measure_counts_right_answers(self, recipe):
        batch = {"images": torch.zeros(3, 3, 16, 16), "labels": torch.tensor([0, 1, 9])}
        logits = torch.tensor([[9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0]]).expand(3, 10)
        sums = recipe().measure(lambda images: logits, batch)
        right = {name: (value.item(), weight) for name, (value, weight) in sums.items()}
        assert right["accuracy"] == (1, 3)
        assert right["accuracy_top5"] == (2, 3)
        expected = torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum")
        assert right["loss"][0] == pytest.approx(expected.item())

    def test_no_top5_of_five_classes(self, recipe):
        batch = {"images": torch.zeros(1, 3, 16, 16), "labels": torch.tensor([0])}
        assert "accuracy_top5" not in recipe().measure(lambda images: torch.zeros(1, 5), batch)


class TestModels:
    def test_it_is_torchvisions_resnet50(self, real):
        model = real.build(1000)
        assert isinstance(model, ResNet)
        assert sum(p.numel() for p in model.parameters()) == 25_557_032
        blocks = [m for m in model.modules() if isinstance(m, Bottleneck)]
        assert len(blocks) == 16
        assert blocks[3].conv2.stride == (2, 2)  # v1.5
        assert model.fc.weight.std().item() == pytest.approx(0.01, rel=0.01)

    @pytest.mark.parametrize("which", ["real", "thin"])
    def test_last_gammas_start_at_zero(self, which, request):
        model = request.getfixturevalue(which).build(10)
        blocks = [m for m in model.modules() if isinstance(m, Bottleneck)]
        assert blocks
        assert all((block.bn3.weight == 0).all() for block in blocks)
        assert all((block.bn1.weight == 1).all() for block in blocks)

    def test_convolutions_are_channels_last(self, recipe, real):
        model = recipe(model=real).model()
        assert model.layer1[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
        assert train_batch(recipe())["images"].is_contiguous(memory_format=torch.channels_last)

    def test_only_batch_norm_does_not_decay(self, recipe, real):
        model = recipe(model=real).model()
        weights, norm = recipe().parameter_groups(model)
        assert (weights.decay, norm.decay) == (True, False)
        assert weights.lr_ratio == norm.lr_ratio == 1.0
        names = {id(p): name for name, p in model.named_parameters()}
        assert {id(p) for p in weights.parameters} | {id(p) for p in norm.parameters} == set(names)
        assert len(weights.parameters) + len(norm.parameters) == len(names)
        decaying = [names[id(p)] for p in weights.parameters]
        assert "fc.bias" in decaying
        assert not [name for name in decaying if "bn" in name or "downsample.1" in name]
        assert len(norm.parameters) == 2 * sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())

    def test_same_seed_same_weights(self, recipe):
        def weights():
            torch.manual_seed(7)
            return torch.cat([p.flatten() for p in recipe().model().parameters()])

        assert torch.equal(weights(), weights())

    def test_thin_model_overfits_a_few_images(self, recipe):
        torch.manual_seed(0)
        made = recipe()
        model, batch = made.model(), train_batch(made)
        optimizer = sgd(made.parameter_groups(model), momentum=0.9, nesterov=True, weight_decay=0.0)
        for _ in range(60):
            for group in optimizer.param_groups:
                group["lr"] = 0.1
            optimizer.zero_grad()
            loss, weight = made.loss(model, batch)
            (loss / weight).backward()
            optimizer.step()
        assert loss.item() / weight < 0.05
