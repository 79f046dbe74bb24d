"""Masked sentence pairs as batches: content is a function of (seed, phase, step, place), and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from autolrs_cli.contracts import Batch, Position
from autolrs_cli.seeding import generator
from autolrs_recipes.data.pretraining.masking import MaskDraws, mask, masked_counts
from autolrs_recipes.data.pretraining.sentence_pairs import NUM_SPECIAL, Pairs, plan_pairs
from autolrs_recipes.data.pretraining.sentence_table import SentenceTable
from autolrs_recipes.data.pretraining.wordpiece import CLS, PAD, SEP
from autolrs_recipes.data.scattered_order import ScatteredOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

FOLLOWS, DOES_NOT_FOLLOW = 0, 1
"""Labels of next-sentence prediction, as transformers and the public code have them."""
NOT_COUNTED = -100
"""The label that torch's cross-entropy leaves out."""
MASKED_STEP = 64
# Held-out pairs and masks are the same for every seed.
_HELD_OUT_SEED = 0


@dataclass(frozen=True)
class Task:
    """What is made of sentences.

    Args:
        length: positions of a sequence, special tokens included.
        mask_fraction: share of a sequence's tokens that are masked.
        vocab_size: entries of the vocabulary.
    """

    length: int
    mask_fraction: float
    vocab_size: int


class GlobalBatch:
    """All pairs of one optimizer step (or of a held-out slice), planned and drawn, but not yet read.

    Args:
        table: where the sentences are.
        task: what is made of them.
        anchors: [N], where segments A begin.
        stream: gives the draws.
    """

    def __init__(self, table: SentenceTable, task: Task, anchors: Numbers, stream: torch.Generator) -> None:
        self._table = table
        self.pairs: Pairs = plan_pairs(table, anchors, task.length, stream)
        self._counts = masked_counts(self.pairs.lengths, task.mask_fraction)
        most = int(self._counts.max())
        self._draws = MaskDraws.draw((len(anchors), task.length), most, task.vocab_size, stream)
        # The loss is a mean over masked positions plus a mean over pairs, each over the *global* batch, which a
        # part of it cannot know. Weighed by this, sums over a part add up to that loss times the number of pairs.
        self._pairs_per_mask = torch.tensor(len(anchors) / int(self._counts.sum()), dtype=torch.float32)

    def read(self, first: int, end: int) -> Batch:
        """Return pairs first, ..., end - 1, padded to the longest of them, L.

        Returns:
            "input_ids", "token_type_ids" and "attention_mask", int64 [B, L]; "masked_positions" int64 [M], places
            in the flattened input_ids, and "masked_tokens" int64 [M], what stood there; "next_sentence_label"
            int64 [B]; "pairs_per_mask" float32 [], of the whole global batch.
        """
        lengths = self.pairs.lengths[first:end] + NUM_SPECIAL
        place, last = np.arange(int(lengths.max())), (lengths - 1)[:, None]
        middle = self.pairs.a.length[first:end, None] + 1
        maskable = (place > 0) & (place != middle) & (place < last)
        tokens = np.where(place > last, PAD, np.where(place == 0, CLS, SEP))
        tokens[maskable] = self.pairs.tokens(self._table, first, end)
        types = ((place > middle) & (place <= last)).astype(np.int64)
        positions, originals = mask(tokens, maskable, self._counts[first:end], self._draws.rows(first, end))
        labels = np.where(self.pairs.follows[first:end], FOLLOWS, DOES_NOT_FOLLOW)
        return {
            "input_ids": torch.from_numpy(tokens),
            "token_type_ids": torch.from_numpy(types),
            "attention_mask": torch.from_numpy((place <= last).astype(np.int64)),
            "masked_positions": torch.from_numpy(positions),
            "masked_tokens": torch.from_numpy(originals),
            "next_sentence_label": torch.from_numpy(labels),
            "pairs_per_mask": self._pairs_per_mask,
        }


def evened(batch: Batch, lengths: Sequence[int]) -> Batch:
    """Pad sequences to the shortest of `lengths` that holds them, and masked places to a multiple of `MASKED_STEP`.

    The places that are added point at the first token, with a label that no loss counts.
    """
    width = batch["input_ids"].shape[1]
    length = min((each for each in lengths if each >= width), default=width)
    positions = batch["masked_positions"]
    more = -len(positions) % MASKED_STEP
    return {
        **batch,
        "input_ids": F.pad(batch["input_ids"], (0, length - width), value=PAD),
        "token_type_ids": F.pad(batch["token_type_ids"], (0, length - width)),
        "attention_mask": F.pad(batch["attention_mask"], (0, length - width)),
        "masked_positions": F.pad(positions // width * length + positions % width, (0, more)),
        "masked_tokens": F.pad(batch["masked_tokens"], (0, more), value=NOT_COUNTED),
    }


class TrainSentencePairs:
    """Endless training batches, addressed by position; every sentence is an anchor once per epoch.

    Args:
        table: the training slice.
        task: what is made of it in this phase.
        seed: fixes order, pairs and masks.
        phase: 0-based phase of the run.
        global_batch: pairs per optimizer step, over all ranks.
        micro_batch: pairs per call of `batch`; `micro_batch * world_size` divides `global_batch`.
        world_size: number of ranks; each owns one contiguous part of the global batch.
    """

    def __init__(
        self,
        table: SentenceTable,
        task: Task,
        *,
        seed: int,
        phase: int,
        global_batch: int,
        micro_batch: int,
        world_size: int = 1,
    ) -> None:
        assert global_batch % (micro_batch * world_size) == 0, (global_batch, micro_batch, world_size)
        self.table = table
        self.task = task
        self.seed = seed
        self.phase = phase
        self.global_batch = global_batch
        self.micro_batch = micro_batch
        self.micro_batches = global_batch // (micro_batch * world_size)
        self._order = ScatteredOrder(table.num_anchors, seed, phase)
        self._planned: tuple[int, GlobalBatch] | None = None

    def batch(self, position: Position) -> Batch:
        """Return one micro-batch of CPU tensors; see `GlobalBatch.read`."""
        assert position.phase == self.phase, (position, self.phase)
        first = (position.rank * self.micro_batches + position.micro) * self.micro_batch
        return self.step(position.step).read(first, first + self.micro_batch)

    def step(self, step: int) -> GlobalBatch:
        """Plan a step; the last one is kept for its other micro-batches."""
        if self._planned is None or self._planned[0] != step:
            places = self._order.examples(step * self.global_batch, self.global_batch)
            stream = generator(self.seed, "data", "pairs", self.phase, step)
            anchors = self.table.anchors(places)
            self._planned = step, GlobalBatch(self.table, self.task, anchors, stream)
        return self._planned[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_planned": None}


class HeldOutSentencePairs:
    """A fixed number of pairs of a held-out slice, the same for every seed; the last batch may be smaller.

    Args:
        table: the slice.
        task: what is made of it.
        num_pairs: how many; sentences are anchors again (of other pairs) where the slice has fewer.
        batch_size: pairs per batch.
    """

    def __init__(self, table: SentenceTable, task: Task, num_pairs: int, batch_size: int) -> None:
        self.table = table
        self.task = task
        self.num_pairs = num_pairs
        self.batch_size = batch_size
        self.num_batches = math.ceil(num_pairs / batch_size)
        self._planned: GlobalBatch | None = None

    def batch(self, index: int) -> Batch:
        """Return batch `index` as CPU tensors; see `GlobalBatch.read`."""
        first = index * self.batch_size
        return self.pairs().read(first, min(first + self.batch_size, self.num_pairs))

    def pairs(self) -> GlobalBatch:
        """Plan all pairs."""
        if self._planned is None:
            places = ScatteredOrder(self.table.num_anchors, _HELD_OUT_SEED, 0).examples(0, self.num_pairs)
            stream = generator(_HELD_OUT_SEED, "data", "held out")
            self._planned = GlobalBatch(self.table, self.task, self.table.anchors(places), stream)
        return self._planned

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_planned": None}
