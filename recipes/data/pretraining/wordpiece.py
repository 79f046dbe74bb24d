"""BERT's WordPiece vocabulary, trained on the training slice; the same text gives the same vocabulary everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer

    Sentences = Callable[[], Iterator[str]]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNKNOWN, CLS, SEP, MASK = range(len(SPECIAL_TOKENS))
FIRST_WORD = len(SPECIAL_TOKENS)
"""Ids from here on are words and pieces of words."""
_CONTINUES = "##"
_MAX_CHARACTERS = 1000
_MIN_FREQUENCY = 2


def train_wordpiece(sentences: Sentences, vocab_size: int) -> Tokenizer:
    """Train a vocabulary of at most `vocab_size` entries: lower case, without accents, as BERT's uncased models.

    The library numbers a word's continuing characters ("##a") in the order of a hash table that differs from
    process to process, and breaks ties by number, so that two trainings of the same text differ. Here a first
    training, for characters only, finds them; the second is told them in sorted order.

    Args:
        sentences: returns an iterator over the text, anew with every call; it is called three times.
        vocab_size: with special tokens. Text may be too small for it: pairs seen once are not merged.
    """
    # Each character may come twice, at the start of words and within them; leave room for words.
    alphabet = _alphabet(sentences(), min(_MAX_CHARACTERS, vocab_size // 4))
    found = _train(sentences(), 1, alphabet, ()).get_vocab()
    pieces = sorted(word for word in found if word.startswith(_CONTINUES) and len(word) == 3)
    vocabulary = _train(sentences(), vocab_size, alphabet, tuple(pieces)).get_vocab()
    return _tokenizer(vocabulary)


def normalizer() -> Normalizer:
    """Return what makes of a text what the tokenizer sees."""
    from tokenizers import normalizers

    made: Normalizer = normalizers.BertNormalizer(lowercase=True)
    return made


def _alphabet(sentences: Iterator[str], most: int) -> list[str]:
    """Return the most frequent characters; those that are left out become [UNK]."""
    counts: Counter[str] = Counter()
    normalize = normalizer().normalize_str
    for sentence in sentences:
        counts.update(normalize(sentence))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [character for character, _ in ranked if not character.isspace()][:most]


def _train(
    sentences: Iterator[str], vocab_size: int, alphabet: list[str], pieces: tuple[str, ...]
) -> Tokenizer:
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = _empty()
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=[*SPECIAL_TOKENS, *pieces],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer


def _empty(vocabulary: dict[str, int] | None = None) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(vocabulary or {}, unk_token=SPECIAL_TOKENS[UNKNOWN]))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """Return a tokenizer in which only the five special tokens are special, in any text."""
    from tokenizers.processors import BertProcessing

    tokenizer = _empty(vocabulary)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = BertProcessing((SPECIAL_TOKENS[SEP], SEP), (SPECIAL_TOKENS[CLS], CLS))
    return tokenizer
