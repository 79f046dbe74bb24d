"""Plain text to sentences, and sentences to documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_LANGUAGE = "en"
_ENDINGS = frozenset(
    ".!?:;)]\"'\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{HORIZONTAL ELLIPSIS}"
)


def split_sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph of English (sentencex, Wikimedia's rules), without surrounding space."""
    from sentencex import segment

    return [sentence.strip() for sentence in segment(_LANGUAGE, paragraph) if sentence.strip()]


def ends_like_prose(paragraph: str) -> bool:
    """Tell whether a paragraph ends as a sentence may: headings, table rows and list items seldom do."""
    return paragraph[-1:] in _ENDINGS


def cut_documents(paragraphs: Iterable[list[str]], sentences_per_document: int) -> Iterator[list[str]]:
    """Group the sentences of paragraphs into documents of at least so many sentences, the last one excepted."""
    document: list[str] = []
    for sentences in paragraphs:
        document += sentences
        if len(document) >= sentences_per_document:
            yield document
            document = []
    if document:
        yield document
