"""Pairs of segments for next-sentence prediction, planned from the lengths of sentences alone.

Follows Sec. A.2 of [Devlin2019]_ (see `masking`): two spans of text, "sentences" A and B, of at most `length`
tokens together with [CLS] and two [SEP]; half of the time B is what follows A, else it is from another document.
From the public code (create_pretraining_data.py): a pair is a run of whole sentences of about the target length,
cut between two of them; one pair in ten has a shorter, random target; what is too long is cut off the longer
segment, at random from its front and its back.

Ours: pairs are drawn, instead of made once and for all; and a run always has two sentences, so that exactly half of
the pairs can follow (the public code counts runs of one sentence among those that do not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from autolrs_recipes.data.pretraining.sentence_table import SentenceTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

NUM_SPECIAL = 3
"""[CLS] A [SEP] B [SEP]."""
LEAST_LENGTH = NUM_SPECIAL + 2
_SHORT_SHARE = 0.1  # the public code's short_seq_prob
_FOLLOWS_SHARE = 0.5  # [Devlin2019 Sec. 3.1]


@dataclass(frozen=True)
class Segments:
    """One segment of each of N pairs: sentences first, ..., end - 1, of which `length` tokens from `skip` on."""

    first: Numbers
    end: Numbers
    skip: Numbers
    length: Numbers

    def starts(self, table: SentenceTable) -> Numbers:
        """Return the place of each segment's first token among all tokens of the table, [N]."""
        starts: Numbers = table.first_tokens[self.first] + self.skip
        return starts


@dataclass(frozen=True)
class Pairs:
    """The pairs of one global batch."""

    a: Segments
    b: Segments
    follows: NDArray[np.bool_]
    """Whether B is what follows A."""

    @property
    def lengths(self) -> Numbers:
        """Tokens of both segments [N], special ones not counted."""
        return self.a.length + self.b.length

    def tokens(self, table: SentenceTable, first: int, end: int) -> NDArray[np.int32]:
        """Read pairs first, ..., end - 1: the tokens of A and of B, pair by pair, all in a row."""
        both = (self.a, self.b)
        starts = np.stack([s.starts(table)[first:end] for s in both], axis=1).reshape(-1)
        lengths = np.stack([s.length[first:end] for s in both], axis=1).reshape(-1)
        ends = np.cumsum(lengths)
        return table.at(np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1]))


def plan_pairs(table: SentenceTable, anchors: Numbers, length: int, stream: torch.Generator) -> Pairs:
    """Plan the pairs whose segments A begin with the sentences `anchors`.

    Args:
        table: the slice; of two documents or more.
        anchors: [N], sentences that another one of their document follows.
        length: positions of a sequence, special tokens included.
        stream: gives the draws.
    """
    draws = torch.rand(6, len(anchors), generator=stream, dtype=torch.float64).numpy()
    room = length - NUM_SPECIAL
    target = np.where(draws[0] < _SHORT_SHARE, _up_to(draws[1], 2, room), room)
    document = table.documents(anchors)
    run_end = _reach(table, anchors, target, anchors + 2, table.first_sentences[document + 1])
    cut = _up_to(draws[2], anchors + 1, run_end - 1)
    follows = draws[3] < _FOLLOWS_SHARE
    other_first, other_end = _elsewhere(table, document, draws[4:])
    missing = target - _tokens(table, anchors, cut)
    other_end = _reach(table, other_first, missing, other_first + 1, other_end)
    b_first, b_end = np.where(follows, cut, other_first), np.where(follows, run_end, other_end)
    sizes = np.stack((_tokens(table, anchors, cut), _tokens(table, b_first, b_end)))
    kept = truncated(sizes, room)
    # Each token that goes leaves at the front or at the back with equal chances.
    cut_off = torch.from_numpy(sizes - kept).double()
    skip = torch.binomial(cut_off, torch.full_like(cut_off, 0.5), generator=stream).long().numpy()
    return Pairs(
        Segments(anchors, cut, skip[0], kept[0]), Segments(b_first, b_end, skip[1], kept[1]), follows
    )


def truncated(sizes: Numbers, room: int) -> Numbers:
    """Return what is left of pairs of `sizes` [2, N] after tokens were taken off the longer one until they fit.

    Of two that are equally long, B is cut first.
    """
    shorter = sizes.min(axis=0)
    fits = sizes.sum(axis=0) <= room
    evenly = np.array([[room - room // 2], [room // 2]])
    longer_cut = np.where(sizes == shorter, shorter, room - shorter)
    return np.where(fits, sizes, np.where(shorter <= room // 2, longer_cut, evenly))


def _reach(table: SentenceTable, first: Numbers, tokens: Numbers, least: Numbers, most: Numbers) -> Numbers:
    """Return where runs of sentences from `first` on end that have `tokens` tokens or just more; within bounds."""
    end = np.searchsorted(table.first_tokens, table.first_tokens[first] + tokens)
    return np.clip(end, least, most)


def _elsewhere(
    table: SentenceTable, document: Numbers, draws: NDArray[np.float64]
) -> tuple[Numbers, Numbers]:
    """Return random sentences of random documents other than `document`, and where those documents end."""
    other = _up_to(draws[0], 0, table.num_documents - 2)
    other += other >= document
    first, end = table.first_sentences[other], table.first_sentences[other + 1]
    return _up_to(draws[1], first, end - 1), end


def _tokens(table: SentenceTable, first: Numbers, end: Numbers) -> Numbers:
    count: Numbers = table.first_tokens[end] - table.first_tokens[first]
    return count


def _up_to(draws: NDArray[np.float64], least: Numbers | int, most: Numbers | int) -> Numbers:
    """Return whole numbers spread evenly over least, ..., most, from draws in [0, 1)."""
    return (least + np.floor(draws * (most - least + 1))).astype(np.int64)
