"""Text of the Hugging Face hub by name and column, in parquet files: from the hub, or from a copy of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from autolrs_cli.contracts import FileSetting, Report
from autolrs_cli.values import checked
from autolrs_recipes.data import hub
from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.pretraining.hub_rows import paragraphs, require_column, texts
from autolrs_recipes.data.pretraining.sentence_splitting import cut_documents
from autolrs_recipes.data.pretraining.source import DocumentSentences, PreparedText

if TYPE_CHECKING:
    from datasets import Dataset

_EXAMPLE = "roneneldan/TinyStories (the hub's; downloads about 1 GB)"
_Name = Annotated[str, Field(min_length=1)]


@checked
@dataclass(kw_only=True, eq=False)
class HubText(PreparedText):
    """Rows of text; lines are paragraphs, of which only those that end like a sentence are taken.

    Args:
        name: name on the hub, or a folder with a copy.
        config: the hub's configuration (subset); None: its only one.
        train_split: trained on.
        validation_split: decides targets; None: documents of the training split are held out.
        text_column: holds the text.
        rows: "documents": each row is one. "paragraphs": rows are running text, whose documents are not marked.
        document_sentences: of running text, documents get so many sentences.
    """

    name: Annotated[str | None, FileSetting(or_name=True)]
    config: str | None
    train_split: _Name
    validation_split: _Name | None
    text_column: _Name
    rows: Literal["documents", "paragraphs"]
    document_sentences: DocumentSentences

    advice = "Give more text; where rows are paragraphs of running text, data.rows=paragraphs."

    def source(self) -> str:
        """Say where the text is from, in words."""
        return hub.described(self.name, self.config)

    def source_problems(self) -> list[str]:
        """Return every problem with the settings; neither network nor rows are asked."""
        return [
            *hub.problems("data.name", self.name, _EXAMPLE),
            *hub.split_problems(
                self.train_split, "data.validation_split", self.validation_split, "documents"
            ),
        ]

    def ingredients(self, report: Report) -> dict[str, Any]:
        """Return the content of the splits, and what is read of it; loads the data."""
        report("loading data.name", 0, None)
        for rows in self._splits:
            require_column("data.name", rows, self.text_column)
        return {
            "content": hub.contents(self._splits, report, self.cache_dir),
            "text_column": self.text_column,
            "rows": self.rows,
            "document_sentences": self.document_sentences if self.rows == "paragraphs" else None,
        }

    def documents(self, report: Report) -> Iterator[list[str]]:
        """Yield the documents of the training split."""
        return self._documents(self._splits[0], report)

    def validation(self) -> Iterator[list[str]]:
        """Yield the documents of the validation split."""
        return chain.from_iterable(self._documents(rows, quiet) for rows in self._splits[1:])

    def _documents(self, rows: Dataset, report: Report) -> Iterator[list[str]]:
        each = texts("data.name", rows, self.text_column, report)
        if self.rows == "documents":
            return (list(chain.from_iterable(paragraphs(text))) for text in each)
        return cut_documents(chain.from_iterable(map(paragraphs, each)), self.document_sentences)

    @cached_property
    def _splits(self) -> list[Dataset]:
        """The rows to train on, and those that decide targets, if there are any."""
        assert self.name is not None
        found = hub.load_splits("data.name", self.name, self.config)
        named = [("data.train_split", self.train_split), ("data.validation_split", self.validation_split)]
        return [hub.chosen_split(found, key, split, self.name) for key, split in named if split is not None]
