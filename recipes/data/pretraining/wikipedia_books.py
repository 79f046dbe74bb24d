"""English Wikipedia and books, what [Devlin2019]_ trained on: from the Hugging Face hub or from copies of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.values import checked
from autolrs_recipes.data import hub
from autolrs_recipes.data.pretraining.hub_rows import identity, paragraphs, texts
from autolrs_recipes.data.pretraining.sentence_splitting import cut_documents
from autolrs_recipes.data.pretraining.source import DocumentSentences, PreparedText

if TYPE_CHECKING:
    from datasets import Dataset

_SPLIT = "train"
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
            "wikipedia": identity(self._wikipedia, report, self.cache_dir),
            "books": None if self._books is None else identity(self._books, report, self.cache_dir),
            "text_column": self.text_column,
            "document_sentences": self.document_sentences,
        }

    def documents(self, report: Report) -> Iterator[list[str]]:
        """Yield the articles, then the books."""
        articles = (
            list(chain.from_iterable(paragraphs(text)))
            for text in texts("data.wikipedia", self._wikipedia, self.text_column, report)
        )
        yield from articles
        if self._books is not None:
            books = texts("data.books", self._books, self.text_column, report)
            running = chain.from_iterable(map(paragraphs, books))
            yield from cut_documents(running, self.document_sentences)

    @cached_property
    def _wikipedia(self) -> Dataset:
        assert self.wikipedia is not None
        return hub.load("data.wikipedia", self.wikipedia, self.wikipedia_config, _SPLIT)

    @cached_property
    def _books(self) -> Dataset | None:
        if self.books is None or self.books == _NONE:
            return None
        return hub.load("data.books", self.books, self.books_config, _SPLIT)
