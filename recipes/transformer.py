"""The Transformer on translations, as [Vaswani2017]_ trains it and as AutoLRS's second claim has it.

.. [Vaswani2017] Vaswani et al., Attention Is All You Need, arXiv 1706.03762.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn
from transformers import GenerationConfig, MarianMTModel, PreTrainedTokenizerFast
from transformers.utils import logging

from autolrs_cli.contracts import (
    Batch,
    Description,
    EvalSplit,
    EvalStream,
    Example,
    FullMeasure,
    Metric,
    ParameterGroup,
    Phase,
    Report,
    TrainStream,
    Verifiable,
    on_host,
)
from autolrs_cli.values import PositiveInt, checked
from autolrs_recipes.data.translation.pairs import END, END_ID, PAD, PAD_ID, UNKNOWN, TranslationData
from autolrs_recipes.data.translation.show import BOUNDARIES, tokens_in_words
from autolrs_recipes.data.translation.streams import HeldOutPairs, TrainPairs, widened
from autolrs_recipes.data.translation.vocabulary import Vocabulary
from autolrs_recipes.models.beam_search import BeamSearch, bleu, encoded, spread
from autolrs_recipes.models.hidden import hidden_weights
from autolrs_recipes.models.marian import TranslationModel
from autolrs_recipes.models.marian_forward import next_token_logits, shifted

_TO_GET_THE_PAPERS = (
    "scale=paper data=wmt14 data.name=wmt/wmt14 (downloads WMT 2014 from the Hugging Face hub), "
    "or data.name=FOLDER with a copy"
)
_USAGE = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained({folder!r}), AutoModelForSeq2SeqLM.from_pretrained({folder!r})
tokens = model.generate(**tokenizer({sentence!r}, return_tensors="pt"))
print(tokenizer.decode(tokens[0], skip_special_tokens=True))"""


@checked
class Transformer:
    """Translate sentences; judged by BLEU.

    Args:
        name: what the run directory calls it.
        model: builds the network.
        data: the three slices of sentence pairs.
        batch_tokens: tokens of each side per optimizer step over all ranks, padding included, at most.
        micro_batches: parts that a step is computed in; results do not depend on it, but for rounding and dropout.
        eval_tokens: tokens of each side per forward pass of held-out pairs, and per call of the beam search.
        label_smoothing: share of each target's probability that is spread evenly over the vocabulary.
        beam_size: of the beam search that BLEU is computed on.
        length_penalty: of that beam search.
        bleu_sentences: how many test pairs BLEU is computed on, spread evenly over all; None: all.
        averaged_checkpoints: how many of the last checkpoints are averaged for BLEU.
        checkpoint_every_steps: steps between two of them.
    """

    metric = Metric("bleu", "max")
    example_unit = "tokens"
    varying: ClassVar[Mapping[str, tuple[int, ...]]] = {"source": (0, 1), "target": (0, 1)}

    def __init__(
        self,
        *,
        name: str,
        model: TranslationModel,
        data: TranslationData,
        batch_tokens: Annotated[int, Field(strict=True, ge=2)],
        micro_batches: PositiveInt,
        eval_tokens: PositiveInt,
        label_smoothing: Annotated[float, Field(strict=True, ge=0, le=0.99)],
        beam_size: PositiveInt,
        length_penalty: Annotated[float, Field(strict=True, ge=0, le=10)],
        bleu_sentences: PositiveInt | None,
        averaged_checkpoints: PositiveInt,
        checkpoint_every_steps: PositiveInt,
    ) -> None:
        self.name = name
        self.architecture = model
        self.data = data
        self.batch_tokens = batch_tokens
        self.micro_batches = micro_batches
        self.eval_tokens = eval_tokens
        self.label_smoothing = label_smoothing
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.bleu_sentences = bleu_sentences
        self.averaged_checkpoints = averaged_checkpoints
        self.checkpoint_every_steps = checkpoint_every_steps
        self._recalled: Vocabulary | None = None

    def describe(self) -> Description:
        """Say what is trained, in words."""
        return Description(
            data=self.data.describe(),
            model=self.architecture.describe(),
            to_get_the_papers=_TO_GET_THE_PAPERS,
            sizes=self.data.prepared.sizes,
        )

    def problems(self) -> list[str]:
        """Return every problem with settings and data."""
        return [*self.architecture.problems(), *self.data.problems(), *self._length_problems()]

    def _length_problems(self) -> list[str]:
        found, longest = [], self.data.max_length
        if longest > self.architecture.max_length:
            found.append(
                "`data.max_length <= model.max_length` must hold, but got "
                f"data.max_length={longest}, model.max_length={self.architecture.max_length}. "
                "Set data.max_length, or model.max_length."
            )
        if self.batch_tokens < self.micro_batches * longest:
            found.append(
                "A step must hold a sentence of data.max_length tokens for each micro-batch, but got "
                f"recipe.batch_tokens={self.batch_tokens}, recipe.micro_batches={self.micro_batches}, "
                f"data.max_length={longest}. Set recipe.batch_tokens to {self.micro_batches * longest} or more."
            )
        return found

    def sharing_problems(self, world_size: int) -> list[str]:
        """Return a problem unless each process gets a part of a step that can hold a sentence for each micro-batch."""
        least = self.micro_batches * world_size * self.data.max_length
        if self.batch_tokens >= least:
            return []
        return [
            "A step must hold a sentence of data.max_length tokens for each micro-batch of each process, but got "
            f"recipe.batch_tokens={self.batch_tokens}, recipe.micro_batches={self.micro_batches}, "
            f"data.max_length={self.data.max_length}, runtime.processes={world_size}. Set recipe.batch_tokens to "
            f"{least} or more."
        ]

    def prepare(self, report: Report) -> None:
        """Make the tokens that the streams read, unless they were made before."""
        self.data.prepare(report)

    def verify(self, report: Report) -> str:
        """Look at all of the prepared data; say what was looked at."""
        if isinstance(self.data, Verifiable):
            return self.data.verify(report)
        return "the data cannot be looked at further"

    def fingerprint(self) -> str:
        """Hash of the data's content and split."""
        return self.data.prepared.facts.fingerprint

    def phases(self, max_steps: int) -> tuple[Phase, ...]:
        """Return the one phase of the run."""
        return (Phase("train", max_steps, self.batch_tokens),)

    def model(self) -> nn.Module:
        """Build the network with fresh weights."""
        return self.architecture.build(vocab_size=self._vocabulary().size, pad_id=PAD_ID, end_id=END_ID)

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        """Keep weight decay, of which [Vaswani2017]_ has none, off biases and LayerNorm where somebody wants it."""
        norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
        kept = {id(p) for m in norms for p in m.parameters(recurse=False)}
        kept |= {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
        trained = [p for p in model.parameters() if p.requires_grad]
        return [
            ParameterGroup(
                "weights", [p for p in trained if id(p) not in kept], hidden=hidden_weights(model)
            ),
            ParameterGroup("bias_and_norm", [p for p in trained if id(p) in kept], decay=False),
        ]

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> TrainStream:
        """Open the training stream; `seed` fixes the order, never the split."""
        return TrainPairs(
            self.data.prepared.pairs("train"),
            batch_tokens=self.batch_tokens,
            micro_batches=self.micro_batches,
            seed=seed,
            phase=phase,
            world_size=world_size,
        )

    def eval_stream(self, split: EvalSplit) -> EvalStream:
        """Open a held-out slice."""
        return HeldOutPairs(self.data.prepared.pairs(split), self.eval_tokens)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return the summed smoothed cross-entropy of a micro-batch and its number of target tokens."""
        return self.loss_sum(model, batch), self.terms(batch)

    def loss_sum(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the summed smoothed cross-entropy of a micro-batch."""
        return _cross_entropy(_logits(model, batch), batch["target"], self.label_smoothing)

    def terms(self, batch: Batch) -> float:
        """Count the target tokens of a micro-batch, without padding."""
        return float(self.examples(batch))

    def bucketed(self, batch: Batch) -> Batch:
        """Pad both sides to what the step has room for: there is one such length for each number of pairs."""
        return widened(batch, self.batch_tokens // self.micro_batches, self.architecture.max_length)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        """Return sums over a held-out batch's target tokens: loss (nats), the smoothed one, right first guesses."""
        logits, target = _logits(model, batch), batch["target"]
        sums = {
            "loss": _cross_entropy(logits, target, 0.0),
            "smoothed_loss": _cross_entropy(logits, target, self.label_smoothing),
            "accuracy": ((logits.argmax(-1) == target) & (target != PAD_ID)).sum(),
        }
        return {name: (value, float(self.examples(batch))) for name, value in sums.items()}

    def examples(self, batch: Batch) -> int:
        """Count the target tokens of a micro-batch, without padding."""
        return int((on_host(batch)["target"] != PAD_ID).sum())

    def measure_fully(self, model: nn.Module, device: torch.device) -> FullMeasure:
        """Return BLEU of beam search on the test pairs, and that of copying the source."""
        assert isinstance(model, MarianMTModel)
        assert model.device.type == device.type
        tokenizer, pairs = self.data.prepared.tokenizer(), spread(self._test(), self.bleu_sentences)
        sources, references = zip(*pairs, strict=True)
        search = self.beam_search()
        translations = tokenizer.decode_batch(search.translate(model, encoded(tokenizer, sources)))
        ours, copied = bleu(translations, references), bleu(sources, references)
        return FullMeasure(
            {"bleu": ours.score, "bleu_of_copying_source": copied.score},
            {"bleu": f"sacrebleu {ours.signature}; {len(pairs):,} sentences; {search.describe()}"},
        )

    def _test(self) -> list[tuple[str, str]]:
        return self.data.prepared.test_sentences()

    def beam_search(self) -> BeamSearch:
        """Return the search that BLEU is computed with."""
        return BeamSearch(self.beam_size, self.length_penalty, self.eval_tokens)

    def legend(self) -> str:
        """Say how tokens are told apart."""
        return BOUNDARIES

    def show(self, batch: Batch) -> list[Example]:
        """Return the pairs of a micro-batch, in tokens; padding is counted only."""
        tokenizer = self.data.prepared.tokenizer()
        sides = [
            [tokens_in_words(tokenizer, side, row) for row in batch[side]] for side in ("source", "target")
        ]
        return [Example(pair) for pair in zip(*sides, strict=True)]

    def keep(self, folder: Path) -> None:
        """Write the tokenizer, and a sentence to try it on."""
        self._vocabulary().write(folder)

    def recall(self, folder: Path) -> None:
        """Read these instead of asking the data.

        Raises:
            OSError, ValueError, KeyError: if they are not there, or damaged.
        """
        self._recalled = Vocabulary.read(folder)

    def _vocabulary(self) -> Vocabulary:
        return self._recalled or Vocabulary.of(self.data.prepared)

    def export(self, model: nn.Module, folder: Path) -> str:
        """Write what transformers' `from_pretrained` loads; return code that loads it and translates a sentence."""
        assert isinstance(model, MarianMTModel)
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            pad_token_id=PAD_ID,
            eos_token_id=END_ID,
            decoder_start_token_id=PAD_ID,
            max_length=self.architecture.max_length,
            num_beams=self.beam_size,
            length_penalty=self.length_penalty,
        )
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model.save_pretrained(folder)
        tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_file=str(self._vocabulary().tokenizer_file),
            pad_token=PAD,
            eos_token=END,
            unk_token=UNKNOWN,
            model_max_length=self.architecture.max_length,
        )
        tokenizer.save_pretrained(folder)
        return _USAGE.format(folder=str(folder), sentence=self._vocabulary().example)


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    """Return logits [B, T, vocabulary] in float32, also under autocast: each is told the tokens before its own."""
    source, target = batch["source"], batch["target"]
    logits = next_token_logits(model, source, shifted(target, PAD_ID), PAD_ID, on_host(batch)["source"])
    return logits.float()


def _cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    """Return the cross-entropy summed over the tokens of `target` [B, T], without padding."""
    return F.cross_entropy(
        logits.flatten(0, 1),
        target.flatten(),
        ignore_index=PAD_ID,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
