"""Preparing sentence pairs: clean, split, train the tokenizer, write tokens; the text is read, never held.

The text is read three times: to count and split, to train the tokenizer, and to write tokens.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.translation.bpe import train_tokenizer
from autolrs_recipes.data.translation.pairs import (
    END_ID,
    FACTS_FILE,
    SOURCE,
    TARGET,
    TEST_FILE,
    TOKENIZER_FILE,
    Facts,
    Pair,
)
from autolrs_recipes.data.translation.token_table import write_token_table

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 1
"""Part of a prepared folder's ingredients; raised when the same text is prepared differently."""
# With more one-sided pairs than this the lines do not belong together.
_MOST_ONE_SIDED = 0.1
_PAIRS_PER_BATCH = 2000
_REPORTS = 100


@dataclass(frozen=True)
class Corpus:
    """The text of translation data: each call reads it anew, in the same order.

    Args:
        train: pairs to train on and to choose LRs by.
        target: pairs that decide targets.
        test: pairs that BLEU is computed on; None: those of `target`.
        where: what to look at when the text is unusable, for messages: "data.source=FILE, data.target=FILE".
    """

    train: Callable[[], Iterator[Pair]]
    target: Callable[[], Iterator[Pair]]
    test: Callable[[], Iterator[Pair]] | None
    where: str


@dataclass(frozen=True)
class PreparationSettings:
    """How pairs are prepared.

    Args:
        vocab_size: tokens in the vocabulary, at most.
        max_length: tokens of a sentence, its end included, at most.
        choose_fraction: share of the different source sentences of `train` that chooses LRs ...
        choose_max_pairs: ... but this many at most.
    """

    vocab_size: int
    max_length: int
    choose_fraction: float
    choose_max_pairs: int

    def ingredients(self) -> dict[str, object]:
        """Return what a prepared folder depends on besides its text."""
        import tokenizers

        return {"format": FORMAT, "tokenizers": tokenizers.__version__, **asdict(self)}


def fill(folder: Path, corpus: Corpus, settings: PreparationSettings, report: Report) -> None:
    """Fill an empty folder with what `PreparedPairs` reads.

    Raises:
        ConfigError: if the text cannot be used.
    """
    _Preparation(folder, corpus, settings, report).run()


class _Preparation:
    """One preparation; its parts share counts and the split."""

    def __init__(self, folder: Path, corpus: Corpus, settings: PreparationSettings, report: Report) -> None:
        self.folder, self.corpus, self.settings, self.report = folder, corpus, settings, report
        self.counts: Counter[str] = Counter()
        self.digest = hashlib.sha256()
        self.pairs_in_train = 0
        self.held_out: set[bytes] = set()
        self.choose_below = b""

    def run(self) -> None:
        target = list(_clean(self.corpus.target(), Counter()))
        test = target if self.corpus.test is None else list(_clean(self.corpus.test(), Counter()))
        self._refuse_nothing(target, "decides targets")
        self._refuse_nothing(test, "BLEU is computed on")
        self.held_out = {_key(*pair) for pair in (*target, *test)}
        self._scan()
        choose: list[Pair] = []
        tokenizer = train_tokenizer(self._sentences(choose), self.settings.vocab_size)
        tokenizer.save(str(self.folder / TOKENIZER_FILE))
        self.digest.update(tokenizer.to_str().encode())
        sizes = {
            "train": self._write("train", tokenizer, self._training_pairs("writing tokens"), cut=False),
            "choose": self._write("choose", tokenizer, choose, cut=False),
            "target": self._write("target", tokenizer, target, cut=True),
            "test": self._write_test(test),
        }
        self._refuse_empty_slices(sizes)
        self._write_facts(sizes, tokenizer.get_vocab_size())

    def _scan(self) -> None:
        """Count the training pairs and find where the slice that chooses LRs ends.

        That slice holds the sentences with the smallest hashes: it depends on the text alone, and pairs with the
        same source sentence stay together.
        """
        smallest: list[int] = []  # a heap of negated hashes: its first is the largest kept
        kept: set[int] = set()
        for source, _ in self._usable_pairs("reading sentences", self.counts):
            self.pairs_in_train += 1
            key = int.from_bytes(_key("choose", source), "big")
            if key in kept or (len(kept) == self.settings.choose_max_pairs and key >= -smallest[0]):
                continue
            heapq.heappush(smallest, -key)
            kept.add(key)
            if len(kept) > self.settings.choose_max_pairs:
                kept.discard(-heapq.heappop(smallest))
        self._refuse_wrong_files()
        count = min(len(kept), max(1, int(self.settings.choose_fraction * self.pairs_in_train)))
        self.choose_below = sorted(kept)[count - 1].to_bytes(8, "big") if kept else b""

    def _refuse_wrong_files(self) -> None:
        one_sided = self.counts["one_sided"]
        if one_sided > _MOST_ONE_SIDED * (one_sided + self.pairs_in_train):
            raise ConfigError(
                "A sentence and its translation must stand on the same line, but one side of "
                f"{one_sided:,} of {one_sided + self.pairs_in_train:,} pairs is empty. Check {self.corpus.where}."
            )
        if self.pairs_in_train < 2:
            raise ConfigError(
                "Training needs at least two pairs (one chooses LRs), but "
                f"{self.pairs_in_train} are left. Check {self.corpus.where}."
            )

    def _refuse_nothing(self, pairs: list[Pair], purpose: str) -> None:
        if not pairs:
            raise ConfigError(
                f"The slice that {purpose} must hold pairs with text on both sides, but has none. "
                f"Check {self.corpus.where}."
            )

    def _refuse_empty_slices(self, sizes: dict[str, int]) -> None:
        for name, purpose in (("train", "is trained on"), ("choose", "chooses LRs")):
            if not sizes[name]:
                raise ConfigError(
                    f"The slice that {purpose} must hold pairs of at most data.max_length={self.settings.max_length} "
                    f"tokens, but has none ({self.counts['long']:,} are longer). Raise data.max_length, "
                    f"data.vocab_size or data.choose_max_pairs, or check {self.corpus.where}."
                )

    def _usable_pairs(self, what: str, counts: Counter[str]) -> Iterator[Pair]:
        total = self.pairs_in_train or None
        every = max(1, total // _REPORTS) if total else 50_000
        for done, pair in enumerate(_clean(self.corpus.train(), counts)):
            if done % every == 0:
                self.report(what, done, total)
            if _key(*pair) in self.held_out:
                counts["repeated"] += 1
                continue
            yield pair

    def _chooses(self, source: str) -> bool:
        return _key("choose", source) <= self.choose_below

    def _training_pairs(self, what: str) -> Iterator[Pair]:
        return (pair for pair in self._usable_pairs(what, Counter()) if not self._chooses(pair[0]))

    def _sentences(self, choose: list[Pair]) -> Iterator[str]:
        """Yield both sides of the training pairs; collect those that choose LRs."""
        for pair in self._usable_pairs("training the tokenizer", Counter()):
            if self._chooses(pair[0]):
                choose.append(pair)
            else:
                yield from pair

    def _write(self, name: str, tokenizer: Tokenizer, pairs: Iterable[Pair], *, cut: bool) -> int:
        """Write a slice; return its size. Pairs that are too long are cut, or left out and counted."""
        batches = self._tokens(tokenizer, iter(pairs), cut)
        return write_token_table(self.folder / f"{name}.arrow", (SOURCE, TARGET), batches)

    def _tokens(
        self, tokenizer: Tokenizer, pairs: Iterator[Pair], cut: bool
    ) -> Iterator[dict[str, list[list[int]]]]:
        while batch := list(islice(pairs, _PAIRS_PER_BATCH)):
            rows: dict[str, list[list[int]]] = {SOURCE: [], TARGET: []}
            sides = ([e.ids for e in tokenizer.encode_batch(list(side))] for side in zip(*batch, strict=True))
            for source, target in zip(*sides, strict=True):
                if max(len(source), len(target)) > self.settings.max_length:
                    self.counts["cut" if cut else "long"] += 1
                    if not cut:
                        continue
                rows[SOURCE].append(self._cut(source))
                rows[TARGET].append(self._cut(target))
                self.digest.update(np.array([*rows[SOURCE][-1], *rows[TARGET][-1]], dtype="<i4").tobytes())
            yield rows

    def _cut(self, tokens: list[int]) -> list[int]:
        if len(tokens) <= self.settings.max_length:
            return tokens
        return [*tokens[: self.settings.max_length - 1], END_ID]

    def _write_test(self, pairs: list[Pair]) -> int:
        with (self.folder / TEST_FILE).open("w", encoding="utf-8") as file:
            for pair in pairs:
                line = json.dumps(pair, ensure_ascii=False)
                file.write(line + "\n")
                self.digest.update(line.encode())
        return len(pairs)

    def _write_facts(self, sizes: dict[str, int], vocabulary: int) -> None:
        facts = Facts(
            sizes=sizes,
            blank=self.counts["blank"] + self.counts["one_sided"],
            long=self.counts["long"],
            repeated=self.counts["repeated"],
            cut=self.counts["cut"],
            vocabulary=vocabulary,
            fingerprint=self.digest.hexdigest()[:32],
        )
        (self.folder / FACTS_FILE).write_text(json.dumps(asdict(facts)), encoding="utf-8")


def _clean(pairs: Iterator[Pair], counts: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs with text on both sides, without blanks around them; count the others."""
    for source, target in pairs:
        source, target = source.strip(), target.strip()
        if source and target:
            yield source, target
        else:
            counts["one_sided" if source or target else "blank"] += 1


def _key(*texts: str) -> bytes:
    """Return a hash of 8 bytes; the texts hold no NUL."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest()
