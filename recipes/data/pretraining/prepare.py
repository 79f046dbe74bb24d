"""From documents of sentences to what the streams read, in one pass over the text and a few over a file of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.pretraining.sentence_table import write_sentences
from autolrs_recipes.data.pretraining.wordpiece import normalizer, train_wordpiece
from autolrs_recipes.data.splits import rank_in_class

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

Documents: TypeAlias = "Iterable[Sequence[str]]"
"""Documents, each its sentences in order."""

TOKENIZER = "tokenizer.json"
SUMMARY = "summary.json"
SLICES = ("train", "choose", "target")
# Another document is what a pair that does not follow is made of.
_LEAST_DOCUMENTS = 2
_BATCH = 2_000
_REPORT_EVERY = 1_000_000
_LONGEST_COUNTED = 4_096


@dataclass(frozen=True)
class Split:
    """How text is cut into slices and words.

    Args:
        vocab_size: entries of the vocabulary, at most.
        tokenizer_sentences: sentences that the vocabulary is trained on, at most, spread evenly.
        choose_fraction: share of the documents that chooses LRs.
        target_fraction: share that decides targets; unused where validation text is given.
        advice: what to do about too little text.
    """

    vocab_size: int
    tokenizer_sentences: int
    choose_fraction: float
    target_fraction: float
    advice: str


@dataclass(frozen=True)
class _Text:
    """The sentences of all documents in a file, one a line, and what is known about them.

    Args:
        path: the file.
        sizes: [D], sentences of each document.
        keys: [D], hash of each document's content.
        validation: [D], whether it was given as validation text.
    """

    path: Path
    sizes: NDArray[np.int64]
    keys: NDArray[np.uint64]
    validation: NDArray[np.bool_]

    def sentences(self, documents: NDArray[np.bool_], every: int = 1) -> Iterator[str]:
        """Yield the sentences of the documents chosen by a mask [D]; only each `every`-th one."""

        def chosen() -> Iterator[str]:
            with self.path.open(encoding="utf-8", newline="\n") as file:
                for size, wanted in zip(self.sizes.tolist(), documents.tolist(), strict=True):
                    lines = islice(file, size)
                    if wanted:
                        yield from lines
                    else:
                        for _ in lines:
                            pass

        return (line.rstrip("\n") for line in islice(chosen(), 0, None, every))


def prepare_text(
    folder: Path, documents: Documents, validation: Documents, split: Split, report: Report
) -> None:
    """Fill the empty `folder` with tokenizer, slices and summary.

    Args:
        folder: where `PreparedText` reads.
        documents: the text; each document is in memory only while it is being read.
        validation: the text that decides targets; empty: documents are held out.
        split: how it is cut.
        report: told how it goes.

    Raises:
        ConfigError: if there are too few documents for three slices.
    """
    text = _write_text(folder / "sentences.txt", documents, validation, report)
    slices = _slices(text, split)
    total = int(text.sizes[slices["train"]].sum())
    every = -(-total // split.tokenizer_sentences)
    # Says nothing new, but keeps the library from warning about loader workers, which do not use it.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    report("training the vocabulary", 0, None)
    tokenizer = train_wordpiece(lambda: text.sentences(slices["train"], every), split.vocab_size)
    tokenizer.save(str(folder / TOKENIZER))
    lengths = _tokenize(folder, text, slices, tokenizer, report)
    summary = {
        "fingerprint": _fingerprint(folder, text, slices),
        "vocab_size": tokenizer.get_vocab_size(),
        "documents": {name: int(members.sum()) for name, members in slices.items()},
        "sentences": {name: int(text.sizes[members].sum()) for name, members in slices.items()},
        "sentences_by_length": lengths.tolist(),
    }
    (folder / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    text.path.unlink()


def _write_text(path: Path, documents: Documents, validation: Documents, report: Report) -> _Text:
    sizes: list[int] = []
    keys: list[int] = []
    normalize = normalizer().normalize_str
    done = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for source in (documents, validation):
            for document in source:
                sentences = [" ".join(sentence.split()) for sentence in document]
                # What is nothing to the tokenizer (control characters) is not a sentence.
                sentences = [sentence for sentence in sentences if normalize(sentence).strip()]
                if not sentences:
                    continue
                content = "".join(f"{sentence}\n" for sentence in sentences)
                file.write(content)
                sizes.append(len(sentences))
                keys.append(int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big"))
                if (done + len(sentences)) // _REPORT_EVERY > done // _REPORT_EVERY:
                    report("reading sentences", done, None)
                done += len(sentences)
            if source is documents:
                given = len(sizes)
    report("reading sentences", done, done)
    return _Text(
        path,
        np.array(sizes, dtype=np.int64),
        np.array(keys, dtype=np.uint64),
        np.arange(len(sizes)) >= given,
    )


def _slices(text: _Text, split: Split) -> dict[str, NDArray[np.bool_]]:
    """Return the documents of each slice, as masks [D]: by content, so that copies of a document stay together."""
    # A document that is also validation text must not be trained on.
    free = ~text.validation & ~np.isin(text.keys, text.keys[text.validation])
    rank = np.full(len(text.keys), -1)
    rank[free] = rank_in_class(text.keys[free], np.zeros(int(free.sum()), dtype=np.int64))
    held_out = 0 if text.validation.any() else _held_out(split.target_fraction, int(free.sum()))
    choose_end = held_out + _held_out(split.choose_fraction, int(free.sum()))
    slices = {
        "train": free & (rank >= choose_end),
        "choose": free & (rank >= held_out) & (rank < choose_end),
        "target": text.validation if text.validation.any() else free & (rank < held_out),
    }
    for name in SLICES:
        _require_documents(text, name, slices[name], split.advice)
    return slices


def _held_out(fraction: float, documents: int) -> int:
    return max(_LEAST_DOCUMENTS, int(fraction * documents))


def _require_documents(text: _Text, name: str, members: NDArray[np.bool_], advice: str) -> None:
    count, pairs = int(members.sum()), int((text.sizes[members] - 1).sum())
    if count >= _LEAST_DOCUMENTS and pairs > 0:
        return
    raise ConfigError(
        f"Each of the slices train, choose and target must have {_LEAST_DOCUMENTS} documents or more, one of them "
        f"with two sentences, to make sentence pairs of, but of {len(text.sizes):,} documents with "
        f"{int(text.sizes.sum()):,} sentences {name} has {count:,}. {advice}"
    )


def _tokenize(
    folder: Path, text: _Text, slices: dict[str, NDArray[np.bool_]], tokenizer: Tokenizer, report: Report
) -> NDArray[np.int64]:
    """Write the slices; return the number of sentences by their length in tokens."""
    tokenizer.encode_special_tokens = True  # "[MASK]" in a text is text
    lengths = np.zeros(_LONGEST_COUNTED + 1, dtype=np.int64)
    total, done = sum(int(text.sizes[members].sum()) for members in slices.values()), 0

    def encoded(members: NDArray[np.bool_]) -> Iterator[list[list[int]]]:
        nonlocal done
        sentences = text.sentences(members)
        while batch := list(islice(sentences, _BATCH)):
            tokens = [
                encoding.ids for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            ]
            np.add.at(lengths, [min(len(ids), _LONGEST_COUNTED) for ids in tokens], 1)
            if (done + len(batch)) * 100 // total > done * 100 // total:
                report("tokenizing sentences", done, total)
            done += len(batch)
            yield tokens

    for name, members in slices.items():
        write_sentences(folder / name, encoded(members), text.sizes[members])
    report("tokenizing sentences", total, total)
    return lengths


def _fingerprint(folder: Path, text: _Text, slices: dict[str, NDArray[np.bool_]]) -> str:
    """Return a hash of content, split and vocabulary."""
    digest = hashlib.sha256((folder / TOKENIZER).read_bytes())
    for members in slices.values():
        digest.update(text.keys[members].tobytes())
        digest.update(text.sizes[members].tobytes())
    return digest.hexdigest()[:32]
