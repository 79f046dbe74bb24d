"""English Wikipedia and books, what [Devlin2019]_ trained on: from the Hugging Face hub or from copies of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.values import checked
from autolrs_recipes.data import hub
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.pretraining.sentence_splitting import (
    cut_documents,
    ends_like_prose,
    split_sentences,
)
from autolrs_recipes.data.pretraining.source import DocumentSentences, PreparedText

if TYPE_CHECKING:
    from datasets import Dataset

_SPLIT = "train"
_REPORT_EVERY = 100_000
_NONE = "none"


@checked
@dataclass(kw_only=True, eq=False)
class WikipediaBooks(PreparedText):
    """Encyclopedia articles, each a document, and books.

    Only paragraphs that end like a sentence are taken: "text passages", not "lists, tables, and headers"
    ([Devlin2019]_ Sec. 3.1).

    Args:
        wikipedia: a name on the hub or a folder; rows are articles, whose lines are paragraphs.
        wikipedia_config: its configuration on the hub.
        books: a name on the hub or a folder; rows are books, or consecutive paragraphs or sentences of books;
            "none": no books.
        books_config: its configuration on the hub; None: its only one.
        text_column: the column of both that holds the text.
        document_sentences: books are cut into documents of so many sentences.
    """

    wikipedia: Annotated[str | None, FileSetting(or_name=True)]
    wikipedia_config: str | None
    books: Annotated[str | None, FileSetting(or_name=True, words=(_NONE,))]
    books_config: str | None
    text_column: Annotated[str, Field(min_length=1)]
    document_sentences: DocumentSentences

    def source(self) -> str:
        """Say where the text is from, in words."""
        books = "no books" if self.books == _NONE else f"books ({self.books})"
        return f"Wikipedia ({self.wikipedia}) and {books}"

    def source_problems(self) -> list[str]:
        """Return every problem with the settings; neither network nor rows are asked."""
        found = hub.problems(
            "data.wikipedia", self.wikipedia, "wikimedia/wikipedia (downloads 11 GB, 20231101.en)"
        )
        if self.books is None:
            found.append(
                "`data.books` must name the data, but got data.books=None. Set data.books to a name on the hub or a "
                "folder with a column of text, or data.books=none to train without books, which is not what was "
                "published."
            )
        elif self.books != _NONE:
            found += hub.problems("data.books", self.books, "NAME")
        return found

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return what the datasets library calls these data, and their content, of which that need not tell."""
        report("loading data.wikipedia and data.books", 0, None)
        return {
            "wikipedia": self._identity(self._wikipedia, report),
            "books": None if self._books is None else self._identity(self._books, report),
            "text_column": self.text_column,
            "document_sentences": self.document_sentences,
        }

    def _identity(self, rows: Dataset, report: Report) -> list[Any]:
        files = [Path(file["filename"]) for file in rows.cache_files]
        content = content_hash(files, report, cache_root(self.cache_dir))
        return [rows._fingerprint, len(rows), content]

    def documents(self, report: Report) -> Iterator[list[str]]:
        """Yield the articles, then the books."""
        articles = (
            list(chain.from_iterable(_paragraphs(text)))
            for text in self._texts("data.wikipedia", self._wikipedia, report)
        )
        yield from articles
        if self._books is not None:
            texts = self._texts("data.books", self._books, report)
            paragraphs = chain.from_iterable(map(_paragraphs, texts))
            yield from cut_documents(paragraphs, self.document_sentences)

    def _texts(self, key: str, rows: Dataset, report: Report) -> Iterator[str]:
        if self.text_column not in rows.column_names:
            raise ConfigError(
                f"`data.text_column` must be a column of {key}, but got data.text_column={self.text_column}, and it "
                f"has {', '.join(rows.column_names)}. Set data.text_column."
            )
        for number, row in enumerate(rows.select_columns([self.text_column])):
            if number % _REPORT_EVERY == 0:
                report(f"reading {key}", number, len(rows))
            text = row[self.text_column]
            if not isinstance(text, str):
                raise ConfigError(
                    f"`data.text_column` must hold text, but row {number:,} of {key} holds {type(text).__name__} in "
                    f"its column {self.text_column}. Set data.text_column."
                )
            yield text

    @cached_property
    def _wikipedia(self) -> Dataset:
        assert self.wikipedia is not None
        return hub.load("data.wikipedia", self.wikipedia, self.wikipedia_config, _SPLIT)

    @cached_property
    def _books(self) -> Dataset | None:
        if self.books is None or self.books == _NONE:
            return None
        return hub.load("data.books", self.books, self.books_config, _SPLIT)


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Yield the sentences of each paragraph of running text."""
    for line in text.splitlines():
        paragraph = line.strip()
        if ends_like_prose(paragraph):
            yield split_sentences(paragraph)
