"""From Python's documentation to plain sentences: no code, no tables, no markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autolrs_recipes.data.pretraining.sentence_splitting import ends_like_prose, split_sentences

_ITEM = re.compile(r"\s*(?:[*\-+•]|\d+\.|\(?[a-z\d]\))\s+")
_ROLE = re.compile(r":[a-z:]+:`~?([^`<]+)(?:\s<[^>]*>)?`")
_MARKUP = re.compile(r"``?|\*\*|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)")
_WORD = re.compile(r"[A-Za-z][a-z']*[.,;:!?]?")
_PROMPT = (">>>", "...")
# Of the words of a paragraph or sentence, those that must look like a natural language's.
_PROSE_SHARE = 0.7
_LEAST_WORDS = 4


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a docstring or topic."""
    sentences = (
        sentence
        for paragraph in _paragraphs(text)
        if ends_like_prose(paragraph) and _is_prose(paragraph)
        for sentence in split_sentences(paragraph)
    )
    return [sentence for sentence in sentences if _is_prose(sentence)]


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs and list items, each on one line; without interactive sessions and what they print."""
    lines: list[str] = []
    in_session = False
    for line in (*text.expandtabs().splitlines(), ""):
        stripped = line.strip()
        in_session = bool(stripped) and (in_session or stripped.startswith(_PROMPT))
        item = _ITEM.match(line)
        if lines and (not stripped or in_session or item):
            yield _without_markup(" ".join(lines))
            lines = []
        if stripped and not in_session:
            lines.append(line[item.end() :].rstrip() if item else stripped)


def _without_markup(paragraph: str) -> str:
    paragraph = _ROLE.sub(r"\1", paragraph)
    paragraph = _MARKUP.sub("", paragraph).replace("::", ":")
    return " ".join(paragraph.split())


def _is_prose(text: str) -> bool:
    words = text.split()
    natural = sum(1 for word in words if _WORD.fullmatch(word.strip("\"'()[]")))
    return len(words) >= _LEAST_WORDS and natural >= _PROSE_SHARE * len(words)
