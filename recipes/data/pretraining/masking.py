"""Masked positions of BERT's cloze task: 15 % of the tokens, hidden 80 % of the time, as [Devlin2019]_ has it.

.. [Devlin2019] Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding,
   NAACL 2019, arXiv 1810.04805.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from autolrs_recipes.data.pretraining.wordpiece import FIRST_WORD, MASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

HIDDEN_SHARE = 0.8
"""Of the masked positions, those that show [MASK] instead of their token [Devlin2019 Sec. 3.1]."""
RANDOM_SHARE = 0.1
"""Those that show a random token; the others show their own [Devlin2019 Sec. 3.1]."""


def masked_counts(lengths: Numbers, fraction: float) -> Numbers:
    """Return how many positions are masked in sequences of `lengths` [N] tokens, special ones not counted.

    At least one, as in the public code. That code also counts the special tokens and has an upper bound, which
    gives its fixed shapes and which `fraction` of a full sequence does not reach; ours needs neither.
    """
    counts: Numbers = np.maximum(1, np.rint(fraction * lengths)).astype(np.int64)
    return counts


@dataclass(frozen=True)
class MaskDraws:
    """The random numbers that mask the sequences of one global batch.

    Args:
        keys: float32 [N, length]; the lowest of a sequence's tokens are masked.
        actions: float32 [N, P] in [0, 1), what becomes of each masked position.
        words: int64 [N, P], the random token that it shows if it shows one.
    """

    keys: NDArray[np.float32]
    actions: NDArray[np.float32]
    words: Numbers

    @classmethod
    def draw(cls, shape: tuple[int, int], most: int, vocab_size: int, stream: torch.Generator) -> MaskDraws:
        """Draw for `shape` = (sequences, positions), of which `most` at most are masked in each.

        Random tokens come from the vocabulary without its special tokens: ours; the public code has them all.
        """
        return cls(
            keys=torch.rand(shape, generator=stream).numpy(),
            actions=torch.rand(shape[0], most, generator=stream).numpy(),
            words=torch.randint(FIRST_WORD, vocab_size, (shape[0], most), generator=stream).numpy(),
        )

    def rows(self, first: int, end: int) -> MaskDraws:
        """Return those of sequences first, ..., end - 1."""
        return MaskDraws(self.keys[first:end], self.actions[first:end], self.words[first:end])


def mask(
    tokens: Numbers, maskable: NDArray[np.bool_], counts: Numbers, draws: MaskDraws
) -> tuple[Numbers, Numbers]:
    """Mask `tokens` in place; return the masked positions and what stood there.

    Args:
        tokens: [B, L].
        maskable: [B, L], false for special tokens and padding.
        counts: [B], from `masked_counts`.
        draws: of the same B sequences; for L positions or more, of which the first L count.

    Returns:
        Positions in the flattened `tokens`, and their tokens before masking, both [counts.sum()], row by row.
    """
    keys = np.where(maskable, draws.keys[:, : tokens.shape[1]], np.inf)
    most = int(counts.max())
    chosen = np.argsort(keys, axis=1, kind="stable")[:, :most]
    wanted = np.arange(most) < counts[:, None]
    positions = (chosen + np.arange(len(tokens))[:, None] * tokens.shape[1])[wanted]
    flat = tokens.reshape(-1)
    originals = flat[positions]
    action, word = draws.actions[:, :most][wanted], draws.words[:, :most][wanted]
    shown = np.where(action < HIDDEN_SHARE + RANDOM_SHARE, word, originals)
    flat[positions] = np.where(action < HIDDEN_SHARE, MASK, shown)
    return positions, originals
