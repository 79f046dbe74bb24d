"""BERT's pre-training, as [Devlin2019]_ has it and as AutoLRS's third claim does: masked tokens, next sentences.

.. [Devlin2019] Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding,
   NAACL 2019, arXiv 1810.04805.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from autolrs_cli.contracts import (
    Batch,
    Description,
    EvalSplit,
    EvalStream,
    Example,
    Metric,
    ParameterGroup,
    Phase,
    Report,
    TrainStream,
    Verifiable,
    on_host,
)
from autolrs_cli.values import Fraction, PositiveInt, checked
from autolrs_recipes.checks import divides, divides_among
from autolrs_recipes.data.pretraining.prepare import TOKENIZER
from autolrs_recipes.data.pretraining.sentence_pairs import LEAST_LENGTH, NUM_SPECIAL
from autolrs_recipes.data.pretraining.show import LEGEND, sequences_in_words
from autolrs_recipes.data.pretraining.source import PretrainingData
from autolrs_recipes.data.pretraining.streams import HeldOutSentencePairs, Task, TrainSentencePairs, evened
from autolrs_recipes.data.pretraining.wordpiece import SPECIAL_TOKENS
from autolrs_recipes.data.tokenizer_file import read_tokenizer
from autolrs_recipes.models.bert import PretrainingBert, losses, masked_and_next_logits
from autolrs_recipes.models.hidden import hidden_weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TO_GET_THE_PAPERS = (
    "scale=paper data.wikipedia=NAME data.books=NAME, with English Wikipedia and BooksCorpus by their names on the "
    "Hugging Face hub or as folders"
)

_Length = Annotated[int, Field(strict=True, ge=LEAST_LENGTH)]


@checked
class Bert:
    """Pre-train on sentence pairs, first short ones, then long ones; judged by the loss at masked tokens.

    Args:
        name: what the run directory calls it.
        model: builds the encoder.
        data: the three slices of sentences.
        global_batch: pairs per optimizer step, over all ranks.
        micro_batch: pairs per forward pass; divides `global_batch`; None: all that a process has of a
            step.
        eval_batch: held-out pairs per forward pass.
        short_length: positions of a sequence in the first phase, special tokens included.
        long_length: positions in the second.
        short_fraction: share of the steps in the first phase; 0 or 1: there is only one.
        eval_length: positions of held-out sequences, the same in both phases: so their losses can be compared.
        mask_fraction: share of the tokens that are masked.
        choose_pairs: held-out pairs that choose LRs.
        target_pairs: held-out pairs that decide targets.
    """

    metric = Metric("mlm_loss", "min", "nats")
    example_unit = "tokens"
    varying: ClassVar[Mapping[str, tuple[int, ...]]] = {
        **dict.fromkeys(("input_ids", "token_type_ids", "attention_mask"), (1,)),
        **dict.fromkeys(("masked_positions", "masked_tokens"), (0,)),
    }

    def __init__(
        self,
        *,
        name: str,
        model: PretrainingBert,
        data: PretrainingData,
        global_batch: PositiveInt,
        micro_batch: PositiveInt | None,
        eval_batch: PositiveInt,
        short_length: _Length,
        long_length: _Length,
        short_fraction: Fraction,
        eval_length: _Length,
        mask_fraction: Annotated[float, Field(strict=True, ge=0.01, le=0.9)],
        choose_pairs: PositiveInt,
        target_pairs: PositiveInt,
    ) -> None:
        self.name = name
        self.architecture = model
        self.data = data
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.eval_batch = eval_batch
        self.short_length = short_length
        self.long_length = long_length
        self.short_fraction = short_fraction
        self.eval_length = eval_length
        self.mask_fraction = mask_fraction
        self.choose_pairs = choose_pairs
        self.target_pairs = target_pairs
        self._recalled: Tokenizer | None = None

    def describe(self) -> Description:
        """Say what is trained, in words."""
        room = max(length for _, length in self._stretches()) - NUM_SPECIAL
        too_long = self.data.longer_than(room)
        cut = f"; sentences of more than {room} tokens are cut: {too_long:,}" if too_long else ""
        return Description(
            data=self.data.describe() + cut,
            model=self.architecture.describe(),
            to_get_the_papers=_TO_GET_THE_PAPERS,
            sizes={
                "train": self.data.sentences("train").num_anchors,
                "choose": self.choose_pairs,
                "target": self.target_pairs,
            },
        )

    def problems(self) -> list[str]:
        """Return every problem with settings and data."""
        return [
            *divides(self.global_batch, self._micro_batch(1)),
            *self._length_problems(),
            *self.architecture.problems(),
            *self.data.problems(),
        ]

    def _length_problems(self) -> list[str]:
        keys = ("short_length", "long_length", "eval_length")
        lengths = {f"recipe.{key}": getattr(self, key) for key in keys}
        return [
            f"A sequence must fit the model, but got {key}={value}, model.max_length="
            f"{self.architecture.max_length}. Lower {key} or raise model.max_length."
            for key, value in lengths.items()
            if value > self.architecture.max_length
        ]

    def sharing_problems(self, world_size: int) -> list[str]:
        """Return a problem unless each process gets whole micro-batches of a step."""
        return divides_among(self.global_batch, self.micro_batch, world_size)

    def _micro_batch(self, world_size: int) -> int:
        return self.micro_batch or self.global_batch // world_size

    def prepare(self, report: Report) -> None:
        """Train the vocabulary and tokenize the text, unless it was done before."""
        self.data.prepare(report)

    def verify(self, report: Report) -> str:
        """Look at all of the prepared data; say what was looked at."""
        if isinstance(self.data, Verifiable):
            return self.data.verify(report)
        return "the data cannot be looked at further"

    def fingerprint(self) -> str:
        """Hash of the data's content, split and vocabulary."""
        return self.data.fingerprint()

    def phases(self, max_steps: int) -> tuple[Phase, ...]:
        """Cut the run into steps on short and steps on long sequences ([Devlin2019]_ Sec. A.2)."""
        stretches = self._stretches()
        if len(stretches) == 1:
            return (Phase(stretches[0][0], max_steps, self.global_batch),)
        short = min(max(1, round(max_steps * self.short_fraction)), max_steps - 1)
        return (
            Phase("short", short, self.global_batch),
            Phase("long", max_steps - short, self.global_batch),
        )

    def _stretches(self) -> list[tuple[str, int]]:
        """Name and length of the sequences of each phase."""
        both = [("short", self.short_length), ("long", self.long_length)]
        return both[:1] if self.short_fraction == 1 else both[1:] if self.short_fraction == 0 else both

    def model(self) -> nn.Module:
        """Build the encoder and its two heads with fresh weights."""
        return self.architecture.build(self._tokenizer().get_vocab_size())

    def parameter_groups(self, model: nn.Module) -> list[ParameterGroup]:
        """Keep weight decay off biases and LayerNorm, as the public code does."""
        named = list(model.named_parameters())
        kept = {name for name, _ in named if name.endswith("bias") or "LayerNorm" in name}
        return [
            ParameterGroup(
                "weights",
                [p for name, p in named if name not in kept],
                hidden=hidden_weights(model, outer=[model.get_submodule("cls.seq_relationship")]),
            ),
            ParameterGroup("bias_and_norm", [p for name, p in named if name in kept], decay=False),
        ]

    def train_stream(self, phase: int, seed: int, world_size: int = 1) -> TrainStream:
        """Open the training stream of a phase; `seed` fixes order, pairs and masks, never the split."""
        _, length = self._stretches()[phase]
        return TrainSentencePairs(
            self.data.sentences("train"),
            self._task(length),
            seed=seed,
            phase=phase,
            global_batch=self.global_batch,
            micro_batch=self._micro_batch(world_size),
            world_size=world_size,
        )

    def eval_stream(self, split: EvalSplit) -> EvalStream:
        """Open a held-out slice."""
        pairs = self.choose_pairs if split == "choose" else self.target_pairs
        return HeldOutSentencePairs(
            self.data.sentences(split), self._task(self.eval_length), pairs, self.eval_batch
        )

    def _task(self, length: int) -> Task:
        return Task(length, self.mask_fraction, self.data.tokenizer.get_vocab_size())

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return the loss of a micro-batch times its number of pairs, and that number.

        The loss is the mean over the masked tokens plus the mean over the pairs of the *global* batch
        ([Devlin2019]_ Sec. A.2); see `Losses.total`.
        """
        return self.loss_sum(model, batch), self.terms(batch)

    def loss_sum(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return that loss alone."""
        masked, follows = masked_and_next_logits(model, batch)
        return losses(masked, follows, batch).total

    def terms(self, batch: Batch) -> float:
        """Count the pairs of a micro-batch."""
        return float(len(batch["next_sentence_label"]))

    def bucketed(self, batch: Batch) -> Batch:
        """Pad sequences to their phase's length, and masked places to one of few numbers."""
        return evened(batch, [length for _, length in self._stretches()])

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, float]]:
        """Return sums of losses and of right answers over a held-out batch."""
        masked, follows = masked_and_next_logits(model, batch)
        sums = losses(masked, follows, batch)
        right_tokens = (masked.argmax(1) == batch["masked_tokens"]).sum()
        right_pairs = (follows.argmax(1) == batch["next_sentence_label"]).sum()
        num_masked, num_pairs = float(len(masked)), float(len(follows))
        return {
            "loss": (sums.total, num_pairs),
            "mlm_loss": (sums.masked, num_masked),
            "mlm_accuracy": (right_tokens, num_masked),
            "nsp_loss": (sums.follows, num_pairs),
            "nsp_accuracy": (right_pairs, num_pairs),
        }

    def examples(self, batch: Batch) -> int:
        """Count the tokens of a micro-batch, special ones included, padding not."""
        return int(on_host(batch)["attention_mask"].sum())

    def legend(self) -> str:
        """Say how masked tokens are written."""
        return LEGEND

    def show(self, batch: Batch) -> list[Example]:
        """Return the sequences of a micro-batch, in tokens, with what is to be predicted."""
        return sequences_in_words(self.data.tokenizer, batch)

    def keep(self, folder: Path) -> None:
        """Write the tokenizer."""
        self.data.tokenizer.save(str(folder / TOKENIZER))

    def recall(self, folder: Path) -> None:
        """Read it instead of asking the data.

        Raises:
            OSError, ValueError: if it is not there, or damaged.
        """
        self._recalled = read_tokenizer(folder / TOKENIZER)

    def _tokenizer(self) -> Tokenizer:
        return self._recalled or self.data.tokenizer

    def export(self, model: nn.Module, folder: Path) -> str:
        """Write model and tokenizer as transformers loads them; return code that fills in a masked word."""
        from transformers import BertTokenizer
        from transformers.utils import logging

        unknown, pad, cls, sep, mask = (SPECIAL_TOKENS[i] for i in (1, 0, 2, 3, 4))
        tokenizer = BertTokenizer(
            vocab=self._tokenizer().get_vocab(),
            do_lower_case=True,
            unk_token=unknown,
            pad_token=pad,
            cls_token=cls,
            sep_token=sep,
            mask_token=mask,
            model_max_length=self.architecture.max_length,
        )
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model.save_pretrained(folder)  # type: ignore[operator]
        tokenizer.save_pretrained(folder)
        return (
            "from transformers import pipeline\n"
            f'fill = pipeline("fill-mask", model={str(folder)!r})\n'
            'print(fill("This method returns a [MASK] of strings."))'
        )
