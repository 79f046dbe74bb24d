"""Making the phrases: frames whose blanks are filled, each English sentence once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from autolrs_cli.contracts import Report
from autolrs_recipes.data.translation.phrases.draws import Draws
from autolrs_recipes.data.translation.phrases.fillers import MAKERS, Filler
from autolrs_recipes.data.translation.phrases.frames import CLAUSES, JOINTS, SENTENCES

Pair = tuple[str, str]
"""A sentence in English and in German."""

# Of the sentences: two clauses joined, and whole sentences; the rest are single clauses.
_JOINED, _WHOLE = 0.3, 0.1
# Draws per wanted sentence before it is clear that the frames do not yield so many different ones.
_MOST_DRAWS = 20
_BLANK = re.compile(r"\{(\w+?)(\d?)\}")
# CLDR's spaces that do not break differ from release to release.
_SPACES = re.compile("[\u00a0\u2009\u202f]")


def make_phrases(count: int, seed: int, report: Report) -> dict[str, str]:
    """Return up to `count` different sentences, English -> German, in an order that `seed` fixes."""
    draws = Draws(seed, "phrases")
    made: dict[str, str] = {}
    for _ in range(_MOST_DRAWS * count):
        english, german = _sentence(draws)
        made.setdefault(english, german)
        if len(made) % 1000 == 0:
            report("writing phrases", len(made), count)
        if len(made) == count:
            break
    return made


def blanks(frame: Pair) -> Iterator[tuple[str, str]]:
    """Yield the blanks of the English side, each as its name in the frame and its kind."""
    for match in _BLANK.finditer(frame[0]):
        yield match[0], match[1]


def _sentence(draws: Draws) -> Pair:
    kind = draws.uniform()
    if kind < _WHOLE:
        english, german = _filled(SENTENCES, draws)
    else:
        english, german = _filled(CLAUSES, draws)
        if kind < _WHOLE + _JOINED:
            joint, second = draws.choice(JOINTS), _filled(CLAUSES, draws)
            english, german = english + joint[0] + second[0], german + joint[1] + second[1]
        english, german = english + ".", german + "."
    return _upper_first(english), _upper_first(german)


def _filled(frames: Sequence[Pair], draws: Draws) -> Pair:
    frame = draws.choice(frames)
    fillers: dict[str, Filler] = {blank: MAKERS[kind](draws) for blank, kind in blanks(frame)}
    english, german = frame
    for blank, (in_english, in_german) in fillers.items():
        english, german = english.replace(blank, in_english), german.replace(blank, in_german)
    return _SPACES.sub(" ", english), _SPACES.sub(" ", german)


def _upper_first(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def by_hash(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs in the order of a hash of their English side: an order that depends on content alone."""
    return sorted(pairs, key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
