"""The Transformer recipe: its loss against the definition, its model, its learning."""

from __future__ import annotations

import math
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from refusals import as_node, told
from transformers import MarianMTModel
from translation_cases import model, parallel_text, phrases, recipe

from autolrs_cli.contracts import Exportable, FullyMeasured, Position, Preparable, Recipe
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.loader import TrainLoader
from autolrs_recipes.data.translation.pairs import END_ID, PAD_ID
from autolrs_recipes.data.translation.phrases.phrases import Phrases
from autolrs_recipes.models.beam_search import bleu, encoded
from autolrs_recipes.models.marian import Marian
from autolrs_recipes.optimizers import adam
from autolrs_recipes.transformer import Transformer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return phrases(tmp_path_factory.mktemp("cache"))


def train_batch(made, step=0, micro=0):
    return made.train_stream(0, seed=0).batch(Position(0, step, micro))


def engine(made, seed=0) -> Engine:
    make = partial(adam, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, max_grad_norm=None)
    return Engine(made, make, seed=seed, device=CPU)


class TestRecipe:
    def test_is_a_recipe(self, data):
        made: Recipe = recipe(data)
        assert made.problems() == []
        assert isinstance(made, Preparable)
        assert isinstance(made, FullyMeasured)
        assert isinstance(made, Exportable)
        assert (made.metric.name, made.metric.direction, made.example_unit) == ("bleu", "max", "tokens")
        assert made.fingerprint() == data.prepared.facts.fingerprint
        (phase,) = made.phases(100)
        assert (phase.steps, phase.global_batch) == (100, 400)

    def test_description(self, data):
        description = recipe(data).describe()
        assert "English-German phrases" in description.data
        assert "1+1 layers" in description.model
        assert "data=wmt14 data.name=" in description.to_get_the_papers
        assert description.sizes == data.prepared.sizes

    def test_examples_are_target_tokens_without_padding(self, data):
        made = recipe(data)
        batch = train_batch(made)
        assert made.examples(batch) == sum(len(row[row != PAD_ID]) for row in batch["target"])
        assert made.loss(made.model().eval(), batch)[1] == made.examples(batch)

    def test_pickle_round_trip(self, data):
        made = recipe(data)
        copy = pickle.loads(pickle.dumps(made))
        assert torch.equal(train_batch(copy)["source"], train_batch(made)["source"])

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"batch_tokens": 0}, "recipe.batch_tokens"),
            ({"micro_batches": 0}, "recipe.micro_batches"),
            ({"eval_tokens": 0}, "recipe.eval_tokens"),
            ({"label_smoothing": 1.0}, "recipe.label_smoothing"),
            ({"label_smoothing": -0.1}, "recipe.label_smoothing"),
            ({"beam_size": 0}, "recipe.beam_size"),
            ({"length_penalty": -1}, "recipe.length_penalty"),
            ({"bleu_sentences": 0}, "recipe.bleu_sentences"),
            ({"averaged_checkpoints": 0}, "recipe.averaged_checkpoints"),
            ({"checkpoint_every_steps": 1.5}, "recipe.checkpoint_every_steps"),
            ({"model": model(as_node(Marian), max_length=64)}, "data.max_length=100, model.max_length=64"),
            ({"micro_batches": 5}, "recipe.batch_tokens to 500"),
            ({"model": model(as_node(Marian), heads=3)}, "model.heads"),
            ({"model": model(as_node(Marian), d_model=0)}, "model.d_model"),
            ({"model": model(as_node(Marian), layers=0)}, "model.layers"),
            ({"model": model(as_node(Marian), dropout=1)}, "model.dropout"),
        ],
    )
    def test_bad_settings_name_their_key(self, data, changes, key):
        (problem,) = recipe(data, told("recipe", Transformer), **changes)
        assert key in problem

    def test_problems_of_all_parts_at_once(self, tmp_path):
        data = phrases(tmp_path, as_node(Phrases), num_pairs=0)
        problems = recipe(
            data, told("recipe", Transformer), beam_size=0, model=model(as_node(Marian), layers=0)
        )
        assert len(problems) == 3


class TestLoss:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
    def test_label_smoothing_is_as_defined(self, data, smoothing):
        """Cross-entropy against (1 - smoothing) * the target + smoothing * a uniform distribution."""
        made = recipe(data, label_smoothing=smoothing)
        torch.manual_seed(0)
        network, batch = made.model().eval(), train_batch(made)
        loss, tokens = made.loss(network, batch)
        expected, count = 0.0, 0
        for source, target in zip(batch["source"], batch["target"], strict=True):
            source, target = source[source != PAD_ID], target[target != PAD_ID]
            told = torch.cat((torch.tensor([PAD_ID]), target[:-1]))
            logits = network(input_ids=source[None], decoder_input_ids=told[None]).logits[0]
            log_probability = logits.double().log_softmax(-1)
            vocabulary = logits.shape[-1]
            for place, token in enumerate(target):
                wanted = torch.full((vocabulary,), smoothing / vocabulary, dtype=torch.float64)
                wanted[token] += 1 - smoothing
                expected -= float(wanted @ log_probability[place].detach())
                count += 1
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        assert tokens == count

    @pytest.mark.parametrize("micro_batches", [2, 3, 4])
    def test_loss_and_gradient_do_not_depend_on_the_micro_batches(self, data, micro_batches):
        def step(parts):
            made = recipe(data, micro_batches=parts, model=model(dropout=0.0))
            trained = engine(made)
            stream = made.train_stream(0, 0)
            loss, tokens = trained.step((stream.batch(Position(0, 4, m)) for m in range(parts)), 0.0, parts)
            return (
                loss,
                tokens,
                {n: p.grad for n, p in trained.model.named_parameters() if p.grad is not None},
            )

        whole, cut = step(1), step(micro_batches)
        assert cut[0] == pytest.approx(whole[0], rel=1e-6)
        assert cut[1] == whole[1]
        assert cut[2].keys() == whole[2].keys()
        for name, gradient in whole[2].items():
            torch.testing.assert_close(cut[2][name], gradient, rtol=1e-4, atol=1e-7)

    def test_measure(self, data):
        made = recipe(data)
        torch.manual_seed(0)
        network, batch = made.model().eval(), made.eval_stream("choose").batch(0)
        sums = made.measure(network, batch)
        assert set(sums) == {"loss", "smoothed_loss", "accuracy"}
        assert {weight for _, weight in sums.values()} == {made.examples(batch)}
        smoothed, _ = made.loss(network, batch)
        plain, _ = recipe(data, label_smoothing=0.0).loss(network, batch)
        assert sums["smoothed_loss"][0].item() == pytest.approx(smoothed.item())
        assert sums["loss"][0].item() == pytest.approx(plain.item())

    def test_accuracy_counts_right_tokens_only(self, data):
        target = torch.tensor([[5, 6, END_ID], [7, END_ID, PAD_ID]])
        guesses = torch.tensor([[5, 9, END_ID], [7, 8, PAD_ID]])
        logits = torch.nn.functional.one_hot(guesses, 10).float()
        output = type("Output", (), {"logits": logits})
        sums = recipe(data).measure(lambda **_: output, {"source": target, "target": target})
        assert (int(sums["accuracy"][0]), sums["accuracy"][1]) == (3, 5)

    def test_bf16_autocast_gives_a_float32_loss(self, data):
        made = recipe(data)
        torch.manual_seed(0)
        network, batch = made.model().eval(), train_batch(made)
        exact, _ = made.loss(network, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = made.loss(network, batch)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), rel=0.05)


class TestModel:
    def test_base_is_the_published_size(self):
        """65 M parameters with a vocabulary of 37,000 ([Vaswani2017] Table 3), and attention biases."""
        base = model(d_model=512, layers=6, heads=8, d_ff=2048, max_length=64)
        with torch.device("meta"):
            built = base.build(vocab_size=37_000, pad_id=PAD_ID, end_id=END_ID)
        trained = sum(p.numel() for p in built.parameters() if p.requires_grad)
        weights = 37_000 * 512 + 6 * (4 + 8) * 512 * 512 + 12 * 2 * 512 * 2048
        assert trained == pytest.approx(weights, rel=0.002)
        assert trained == pytest.approx(65e6, rel=0.05)

    def test_first_weights(self):
        built = model(d_model=64).build(vocab_size=3000, pad_id=PAD_ID, end_id=END_ID)
        embedding = built.model.shared.weight
        assert embedding[1:].std().item() == pytest.approx(64**-0.5, rel=0.02)
        assert (embedding[PAD_ID] == 0).all()
        assert built.model.encoder.embed_scale == 8
        projection = built.model.encoder.layers[0].self_attn.q_proj
        assert projection.weight.abs().max() <= math.sqrt(6 / 128)
        assert projection.weight.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.05)
        assert (projection.bias == 0).all()

    def test_embeddings_are_shared_and_positions_are_fixed_sinusoids(self, data):
        made = recipe(data)
        built = made.model()
        assert built.lm_head.weight is built.model.encoder.embed_tokens.weight
        assert built.lm_head.weight is built.model.decoder.embed_tokens.weight
        positions = built.model.encoder.embed_positions.weight
        grouped = [p for group in made.parameter_groups(built) for p in group.parameters]
        assert all(p is not positions for p in grouped)
        assert {id(p) for p in grouped} == {id(p) for p in built.parameters() if p.requires_grad}
        assert len({id(p) for p in grouped}) == len(grouped)
        assert positions[3, 1].item() == pytest.approx(math.sin(3 / 10_000 ** (2 / 32)), rel=1e-5)
        assert positions[3, 17].item() == pytest.approx(math.cos(3 / 10_000 ** (2 / 32)), rel=1e-5)

    def test_norms_and_biases_are_not_decayed(self, data):
        made = recipe(data)
        decayed, kept = made.parameter_groups(made.model())
        assert (decayed.decay, kept.decay) == (True, False)
        assert all(p.ndim == 2 for p in decayed.parameters)
        assert all(p.ndim == 1 for p in kept.parameters)

    @pytest.mark.parametrize("fused", [True, False])
    def test_without_decay_one_group_gives_the_same_bits_as_two(self, data, fused):
        def trained(groups_of):
            torch.manual_seed(0)
            made = recipe(data)
            network = made.model()
            groups = [{"params": each} for each in groups_of(made, network)]
            optimizer = torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.0, fused=fused, foreach=not fused)
            for step in range(3):
                optimizer.zero_grad()
                made.loss(network.eval(), train_batch(made, step))[0].backward()
                optimizer.step()
            return network.state_dict()

        one = trained(lambda _, network: [[p for p in network.parameters() if p.requires_grad]])
        two = trained(lambda made, network: [g.parameters for g in made.parameter_groups(network)])
        assert all(one[name].equal(two[name]) for name in one)

    def test_drawn_from_torchs_global_state(self, data):
        made = recipe(data)
        states = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            states.append(made.model().state_dict())
        assert all(states[0][name].equal(states[1][name]) for name in states[0])
        assert not states[0]["model.shared.weight"].equal(states[2]["model.shared.weight"])

    def test_padding_changes_nothing(self, data):
        made = recipe(data)
        torch.manual_seed(0)
        network, batch = made.model().eval(), train_batch(made)
        wider = {name: torch.nn.functional.pad(side, (0, 7), value=PAD_ID) for name, side in batch.items()}
        assert made.loss(network, wider)[0].item() == pytest.approx(
            made.loss(network, batch)[0].item(), rel=1e-6
        )


class TestTraining:
    def test_steps_are_deterministic(self, data):
        made = recipe(data)
        torch.use_deterministic_algorithms(True)
        try:
            runs = []
            for _ in range(2):
                trained, loader = engine(made, seed=5), TrainLoader(made.train_stream(0, 5), 0, 0, CPU)
                runs.append([trained.step(loader.read(), 1e-3)[0] for _ in range(3)])
        finally:
            torch.use_deterministic_algorithms(False)
        assert runs[0] == runs[1]
        assert runs[0][0] == pytest.approx(math.log(500), rel=0.2)

    def test_an_untrained_models_output_can_be_judged(self, data):
        made = recipe(data, bleu_sentences=6)
        torch.manual_seed(0)
        found = made.measure_fully(made.model().eval(), CPU)
        assert 0 <= found.metrics["bleu"] < 5
        assert 0 < found.metrics["bleu_of_copying_source"] < 20
        assert "tok:13a" in found.notes["bleu"]
        assert "6 sentences" in found.notes["bleu"]

    def test_overfits_ten_pairs(self, tmp_path):
        pairs = [
            ("The train to Cologne leaves today.", "Der Zug nach Köln fährt heute ab."),
            ("My sister speaks French.", "Meine Schwester spricht Französisch."),
            ("The book costs €12.", "Das Buch kostet 12 €."),
            ("We will see each other tomorrow.", "Wir sehen uns morgen wieder."),
            ("Paul bought twelve apples.", "Paul hat zwölf Äpfel gekauft."),
            ("The bridge is 300 meters long.", "Die Brücke ist 300 Meter lang."),
            ("Where was Anna on Monday?", "Wo war Anna am Montag?"),
            ("The answer is 3.5.", "Die Antwort lautet 3,5."),
            ("Lena comes from Switzerland.", "Lena kommt aus der Schweiz."),
            ("The package weighs two pounds.", "Das Paket wiegt zwei Pfund."),
            ("Goodbye then.", "Auf Wiedersehen."),
        ]
        files = {}
        for name, some in (("", pairs), ("validation_", [("Hello there.", "Guten Tag.")])):
            for side, key in enumerate(("source", "target")):
                path = tmp_path / f"{name}{key}"
                path.write_text("".join(pair[side] + "\n" for pair in some), encoding="utf-8")
                files[name + key] = str(path)
        data = parallel_text(tmp_path, choose_max_pairs=1, **files)
        made = recipe(
            data,
            batch_tokens=250,
            label_smoothing=0.0,
            model=model(dropout=0.0, d_model=64, heads=4, d_ff=128),
        )
        assert made.problems() == []
        trained, loader = engine(made), TrainLoader(made.train_stream(0, 0), 0, 0, CPU)
        for step in range(150):
            loss, _ = trained.step(loader.read(), 3e-3 * min(1, (step + 1) / 20))
        assert loss < 0.02
        trained.model.eval()
        table, tokenizer = data.prepared.pairs("train"), data.prepared.tokenizer()
        assert len(table) == 10
        sources = [tokenizer.decode(table.source[i].tolist()) for i in range(10)]
        references = [tokenizer.decode(table.target[i].tolist()) for i in range(10)]
        assert set(zip(sources, references, strict=True)) < set(pairs)
        found = tokenizer.decode_batch(
            made.beam_search().translate(trained.model, encoded(tokenizer, sources))
        )
        assert found == references
        assert bleu(found, references).score == pytest.approx(100)


class TestExport:
    def test_plain_transformers_loads_it(self, data, tmp_path, capsys):
        made = recipe(data)
        torch.manual_seed(0)
        network = made.model().eval()
        folder = tmp_path / "out"
        folder.mkdir()
        code = made.export(network, folder)
        assert "autolrs" not in code.replace(str(tmp_path), "")
        batch = made.eval_stream("choose").batch(0)
        told = {"input_ids": batch["source"], "decoder_input_ids": batch["target"]}
        names: dict = {}
        exec(code, names)
        assert isinstance(names["model"], MarianMTModel)
        assert names["model"].eval()(**told).logits.equal(network(**told).logits)
        sentence = "On Monday, 3 < 5 is Größe 7."
        assert names["tokenizer"](sentence)["input_ids"] == data.prepared.tokenizer().encode(sentence).ids
        assert capsys.readouterr().err == ""
        assert {path.name for path in folder.iterdir()} >= {
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
        }
        assert not [path for path in Path(folder).iterdir() if path.suffix == ".bin"]
