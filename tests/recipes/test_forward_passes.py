"""Our passes through transformers' models against the library's own: same numbers, same gradients, same draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autolrs_cli.contracts import Batch
from autolrs_recipes.models.bert import PretrainingBert, masked_and_next_logits
from autolrs_recipes.models.marian import Marian
from autolrs_recipes.models.marian_forward import next_token_logits, shifted

PAD, VOCABULARY = 0, 50


def tokens(*lengths: int) -> Tensor:
    """One row of random tokens for each length, padded to the longest."""
    stream = torch.Generator().manual_seed(sum(lengths))
    drawn = torch.randint(1, VOCABULARY, (len(lengths), max(lengths)), generator=stream)
    return torch.where(torch.arange(max(lengths)) < torch.tensor(lengths)[:, None], drawn, PAD)


def marian(dropout: float = 0.0) -> nn.Module:
    made = Marian(d_model=32, layers=2, heads=4, d_ff=48, dropout=dropout, max_length=16)
    model = made.build(vocab_size=VOCABULARY, pad_id=PAD, end_id=1)
    model.final_logits_bias.normal_()
    return model.train()


def bert(dropout: float = 0.0) -> nn.Module:
    made = PretrainingBert(hidden=32, layers=2, heads=4, intermediate=48, dropout=dropout, max_length=16)
    return made.build(VOCABULARY).train()


def marians(model: nn.Module, padded: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Our logits and the library's, each drawn from the same start."""
    source, target = tokens(9, 4 if padded else 9), tokens(5, 7)
    before = shifted(target, PAD)

    def theirs() -> Tensor:
        return model(
            input_ids=source, attention_mask=source != PAD, decoder_input_ids=before, use_cache=False
        ).logits

    with torch.random.fork_rng():
        ours = next_token_logits(model, source, before, PAD)
    return [ours], [theirs()]


def berts(model: nn.Module, padded: bool) -> tuple[list[Tensor], list[Tensor]]:
    ids = tokens(9, 4 if padded else 9)
    batch: Batch = {
        "input_ids": ids,
        "token_type_ids": (torch.arange(9) > 2).long().expand(2, -1).contiguous(),
        "attention_mask": (ids != PAD).long(),
        "masked_positions": torch.tensor([1, 3, 10]),
    }
    with torch.random.fork_rng():
        ours = masked_and_next_logits(model, batch)
    output = model(**{name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
    masked = output.prediction_logits.flatten(0, 1)[batch["masked_positions"]]
    return list(ours), [masked.float(), output.seq_relationship_logits.float()]


PASSES = pytest.mark.parametrize(
    ("build", "both"), [(marian, marians), (bert, berts)], ids=["marian", "bert"]
)
PADDED = pytest.mark.parametrize("padded", [False, True], ids=["unpadded", "padded"])


def gradients(model: nn.Module, logits: list[Tensor]) -> list[Tensor]:
    trained = [p for p in model.parameters() if p.requires_grad]
    return list(torch.autograd.grad(sum(each.pow(2).sum() for each in logits), trained, allow_unused=False))


class TestOurPass:
    @PASSES
    @PADDED
    @pytest.mark.parametrize("dropout", [0.0, 0.3])
    def test_gives_the_librarys_logits_and_gradients_and_draws_its_dropout(
        self, build, both, padded, dropout
    ):
        torch.manual_seed(3)
        model = build(dropout)
        ours, theirs = both(model, padded)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))
        for one, other in zip(gradients(model, ours), gradients(model, theirs), strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)

    @PASSES
    def test_draws_dropout_in_training_only(self, build, both):
        torch.manual_seed(3)
        model = build(0.3)
        with torch.no_grad():
            assert not any(map(torch.equal, our_logits(both, model, 1), our_logits(both, model, 2)))
            assert all(map(torch.equal, our_logits(both, model, 1), our_logits(both, model, 1)))
            model.eval()
            assert all(map(torch.equal, our_logits(both, model, 1), our_logits(both, model, 2)))

    @PASSES
    @PADDED
    def test_is_the_librarys_under_bf16_autocast(self, build, both, padded):
        torch.manual_seed(3)
        model = build()
        with torch.autocast("cpu", torch.bfloat16):
            ours, theirs = both(model, padded)
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one.float(), other.float(), rtol=0.02, atol=0.02)


def our_logits(both, model: nn.Module, seed: int) -> list[Tensor]:
    """Our logits for the same tokens, with what is drawn drawn from `seed`."""
    torch.manual_seed(seed)
    return both(model, padded=True)[0]


def test_a_model_that_leaves_out_layers_goes_its_own_way():
    torch.manual_seed(3)
    model = marian().eval()
    model.model.encoder.layerdrop = 0.5
    called = []
    model.register_forward_hook(lambda *_: called.append(True))
    next_token_logits(model, tokens(4), tokens(5), PAD)
    assert called
