"""One byte-pair encoding for both languages ([Vaswani2017]_ Sec. 5.1); on bytes, so that any text is encoded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from autolrs_recipes.data.translation.pairs import END, END_ID, PAD, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SMALLEST_VOCABULARY = 256 + 3
"""Every byte, and the special tokens."""


def train_tokenizer(sentences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train it on sentences of both languages; a small corpus may give fewer tokens than `vocab_size`.

    The same sentences give the same tokenizer in any order of threads: the trainer counts first, then merges the
    most frequent pair, ties by number.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    # Asked for by name, threads do not warn when a loader worker is forked later (workers do not tokenize).
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    tokenizer = Tokenizer(models.BPE())
    # The first word of a sentence is encoded like the same word further on; decoding takes the blank off again.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END, UNKNOWN],  # in the order of PAD_ID, END_ID, UNKNOWN_ID
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, END_ID)]
    )
    tokenizer.encode_special_tokens = True
    return tokenizer
