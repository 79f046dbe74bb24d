"""BERT's recipe: its loss against transformers' own, phases, groups, measures, export, and learning at all."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from pretraining_cases import documents, recipe, small_bert, text_files, write_documents
from refusals import as_node, told
from torch import Tensor, nn

from autolrs_cli.contracts import Batch, Exportable, Position, Preparable
from autolrs_cli.seeding import isolated
from autolrs_cli.training.engine import Engine
from autolrs_recipes.bert import Bert
from autolrs_recipes.models.bert import PretrainingBert
from autolrs_recipes.optimizers import adam

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("bert")
    return text_files(root / "cache", write_documents(root / "text.txt", documents(120)))


def built(bert: Bert) -> nn.Module:
    with isolated(0, "initialisation"):
        return bert.model().eval()


def optimizer(groups):
    return adam(groups, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, max_grad_norm=1.0)


def step_of(bert: Bert, step: int = 0, phase: int = 0) -> list[Batch]:
    stream = bert.train_stream(phase, seed=1)
    return [stream.batch(Position(phase, step, micro)) for micro in range(stream.micro_batches)]


def padded_labels(batch: Batch) -> Tensor:
    """What transformers' own loss takes: the token at each masked position, -100 elsewhere."""
    labels = torch.full_like(batch["input_ids"], -100)
    labels.view(-1)[batch["masked_positions"]] = batch["masked_tokens"]
    return labels


def own_loss(model: nn.Module, batch: Batch) -> Tensor:
    return model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
        labels=padded_labels(batch),
        next_sentence_label=batch["next_sentence_label"],
    ).loss


class TestLoss:
    def test_is_that_of_the_models_full_forward_pass(self, data):
        bert = recipe(data, micro_batch=12)
        model = built(bert)
        [batch] = step_of(bert)
        total, pairs = bert.loss(model, batch)
        expected = own_loss(model, batch)
        assert pairs == 12
        assert total.item() / pairs == pytest.approx(expected.item(), rel=1e-5)
        ours = torch.autograd.grad(total / pairs, list(model.parameters()))
        theirs = torch.autograd.grad(expected, list(model.parameters()))
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other, atol=1e-6)

    @pytest.mark.parametrize("phase", [0, 1])
    def test_is_the_same_for_any_split_into_micro_batches(self, data, phase):
        losses, gradients = [], []
        for micro_batch in (12, 6, 4, 3, 1):
            bert = recipe(data, micro_batch=micro_batch)
            model = built(bert)
            total, weight = torch.zeros(()), 0.0
            for batch in step_of(bert, step=3, phase=phase):
                part, pairs = bert.loss(model, batch)
                total, weight = total + part, weight + pairs
            (total / weight).backward()
            losses.append(total.item() / weight)
            gradients.append([p.grad for p in model.parameters()])
        assert losses == pytest.approx([losses[0]] * 5, rel=1e-5)
        for other in gradients[1:]:
            assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients[0], other, strict=True))

    def test_measures_are_means_over_the_slice_by_their_definitions(self, data):
        bert = recipe(data, eval_batch=7, target_pairs=30)
        engine = Engine(bert, optimizer, seed=0, device=CPU)
        stream = bert.eval_stream("target")
        measured = engine.measure(stream.batch(i) for i in range(stream.num_batches))
        [whole] = [recipe(data, eval_batch=30, target_pairs=30).eval_stream("target").batch(0)]
        engine.model.eval()
        with torch.no_grad():
            output = engine.model(
                input_ids=whole["input_ids"],
                attention_mask=whole["attention_mask"],
                token_type_ids=whole["token_type_ids"],
            )
        labels = padded_labels(whole)
        masked, follows = labels != -100, whole["next_sentence_label"]
        logits, answers = output.prediction_logits[masked], labels[masked]
        expected = {
            "mlm_loss": F.cross_entropy(logits, answers).item(),
            "mlm_accuracy": (logits.argmax(1) == answers).float().mean().item(),
            "nsp_loss": F.cross_entropy(output.seq_relationship_logits, follows).item(),
            "nsp_accuracy": (output.seq_relationship_logits.argmax(1) == follows).float().mean().item(),
        }
        expected["loss"] = expected["mlm_loss"] + expected["nsp_loss"]
        assert measured == pytest.approx(expected, rel=1e-5)

    def test_counts_tokens_without_padding(self, data):
        bert = recipe(data)
        stream = bert.train_stream(1, seed=1)
        lengths = stream.step(0).pairs.lengths + 3
        assert sum(bert.examples(batch) for batch in step_of(bert, phase=1)) == lengths.sum()


class TestPlan:
    def test_nine_tenths_short_then_long(self, data):
        short, long = recipe(data).phases(1000)
        assert (short.name, short.steps, short.global_batch) == ("short", 900, 12)
        assert (long.name, long.steps, long.global_batch) == ("long", 100, 12)

    def test_sequences_are_as_long_as_the_phase_says(self, data):
        bert = recipe(data, global_batch=60, micro_batch=60)
        assert [step_of(bert, phase=phase)[0]["input_ids"].shape[1] for phase in (0, 1)] == [24, 48]
        held_out = bert.eval_stream("target")
        assert max(held_out.batch(i)["input_ids"].shape[1] for i in range(held_out.num_batches)) == 24

    @pytest.mark.parametrize(("fraction", "name", "length"), [(1, "short", 24), (0, "long", 48)])
    def test_one_phase_alone(self, data, fraction, name, length):
        bert = recipe(data, short_fraction=fraction, global_batch=60, micro_batch=60)
        [phase] = bert.phases(100)
        assert (phase.name, phase.steps) == (name, 100)
        assert step_of(bert)[0]["input_ids"].shape[1] == length

    def test_a_phase_is_never_empty(self, data):
        assert [p.steps for p in recipe(data).phases(2)] == [1, 1]
        assert [p.steps for p in recipe(data, short_fraction=0.999).phases(10)] == [9, 1]

    def test_no_decay_on_biases_and_layer_norm(self, data):
        bert = recipe(data)
        model = built(bert)
        weights, rest = bert.parameter_groups(model)
        assert weights.decay
        assert not rest.decay
        assert {p.dim() for p in weights.parameters} == {2}
        assert {p.dim() for p in rest.parameters} == {1}
        everything = [*weights.parameters, *rest.parameters]
        assert {id(p) for p in everything} == {id(p) for p in model.parameters()}
        assert len(everything) == len(list(model.parameters()))

    def test_fresh_weights_come_from_the_global_stream(self, data):
        bert = recipe(data)
        torch.manual_seed(3)
        one = bert.model().state_dict()
        torch.manual_seed(3)
        assert all(torch.equal(tensor, one[name]) for name, tensor in bert.model().state_dict().items())
        assert not torch.equal(
            bert.model().state_dict()["cls.seq_relationship.weight"], one["cls.seq_relationship.weight"]
        )

    def test_describes_data_model_and_cut_sentences(self, data):
        described = recipe(data, long_length=12, short_length=8, eval_length=8).describe()
        assert f"sentences of more than 9 tokens are cut: {data.longer_than(9)}" in described.data
        assert "cut" not in recipe(data).describe().data
        assert "2 layers of 32" in described.model
        assert described.sizes == {"train": data.sentences("train").num_anchors, "choose": 20, "target": 30}
        assert "scale=paper" in described.to_get_the_papers
        assert isinstance(recipe(data), Preparable)


class TestProblems:
    def test_none(self, data):
        assert recipe(data).problems() == []

    def test_all_at_once(self, data):
        problems = recipe(
            data,
            told("recipe", Bert),
            global_batch=0,
            micro_batch=-1,
            eval_batch=0,
            choose_pairs=0,
            target_pairs=True,
            short_length=4,
            long_length="x",
            eval_length=1,
            short_fraction=1.5,
            mask_fraction=0,
            model=small_bert(
                as_node(PretrainingBert), hidden=0, layers=0, heads=0, intermediate=0, dropout=1, max_length=0
            ),
        )
        keys = [
            *("recipe.global_batch", "recipe.micro_batch", "recipe.eval_batch"),
            *("recipe.choose_pairs", "recipe.target_pairs"),
            *("recipe.short_length", "recipe.long_length", "recipe.eval_length", "recipe.short_fraction"),
            "recipe.mask_fraction",
            *("model.hidden", "model.layers", "model.heads", "model.intermediate", "model.dropout"),
            "model.max_length",
        ]
        assert sorted(problem.split("`")[1] for problem in problems) == sorted(keys)

    def test_what_does_not_fit_together(self, data):
        problems = recipe(
            data, micro_batch=5, long_length=65, eval_length=100, model=small_bert(heads=3)
        ).problems()
        assert any("must divide `global_batch`" in p for p in problems)
        assert any("must divide `hidden`" in p for p in problems)
        [long, eval_] = recipe(data, long_length=65, eval_length=100).problems()
        assert "recipe.long_length=65" in long
        assert "model.max_length=64" in long
        assert "recipe.eval_length=100" in eval_


def test_a_tiny_model_overfits_ten_pairs(data):
    bert = recipe(data, global_batch=10, micro_batch=10)
    engine = Engine(bert, optimizer, seed=0, device=CPU)
    batches = step_of(bert)
    losses = [engine.step(batches, 0.005)[0] for _ in range(150)]
    assert losses[0] > 6
    assert losses[-1] < 0.05
    measured = engine.measure(batches)
    assert measured["mlm_accuracy"] == measured["nsp_accuracy"] == 1


class TestExport:
    @pytest.fixture
    def exported(self, data, tmp_path):
        bert = recipe(data)
        model = built(bert)
        (tmp_path / "out").mkdir()
        return bert, model, tmp_path / "out", bert.export(model, tmp_path / "out")

    def test_loads_in_plain_transformers_with_the_same_logits(self, exported, data):
        from transformers import AutoModelForPreTraining, AutoTokenizer

        bert, model, folder, _ = exported
        loaded = AutoModelForPreTraining.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert isinstance(bert, Exportable)
        assert tokenizer.model_max_length == 64
        stored = loaded.state_dict()
        assert stored.keys() == model.state_dict().keys()
        assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())
        for first, second in itertools.pairwise(documents(5)[2]):
            inputs = tokenizer(first, second, return_tensors="pt")
            ids = [data.tokenizer.encode(text, add_special_tokens=False).ids for text in (first, second)]
            assert inputs["input_ids"].tolist() == [[2, *ids[0], 3, *ids[1], 3]]
            assert inputs["token_type_ids"].tolist() == [[0] * (len(ids[0]) + 2) + [1] * (len(ids[1]) + 1)]
            with torch.no_grad():
                ours, theirs = model(**inputs), loaded(**inputs)
            # Two modules lie in memory differently, and some processors then round the last bits differently.
            torch.testing.assert_close(theirs.prediction_logits, ours.prediction_logits)
            torch.testing.assert_close(theirs.seq_relationship_logits, ours.seq_relationship_logits)
        assert tokenizer.decode(tokenizer(first)["input_ids"]) == f"[CLS] {first} [SEP]"

    def test_the_code_it_returns_fills_a_mask(self, exported, capsys):
        *_, folder, code = exported
        assert (folder / "model.safetensors").exists()
        assert len(code.splitlines()) <= 4
        exec(code, {})
        assert "token_str" in capsys.readouterr().out
