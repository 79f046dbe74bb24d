"""Text in rows of data sets of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.cache import cache_root, content_hash
from autolrs_recipes.data.pretraining.sentence_splitting import ends_like_prose, split_sentences

if TYPE_CHECKING:
    from datasets import Dataset

_REPORT_EVERY = 100_000


def identity(rows: Dataset, report: Report, cache_dir: str | None) -> list[Any]:
    """Return what the datasets library calls these rows, and their content, of which that need not tell."""
    files = [Path(file["filename"]) for file in rows.cache_files]
    return [rows._fingerprint, len(rows), content_hash(files, report, cache_root(cache_dir))]


def texts(key: str, rows: Dataset, column: str, report: Report) -> Iterator[str]:
    """Yield the text of each row.

    Args:
        key: the setting that named the data, for messages.
        rows: of a data set.
        column: that holds the text (data.text_column).
        report: told how it goes.

    Raises:
        ConfigError: if there is no such column, or it holds something else.
    """
    require_column(key, rows, column)
    for number, row in enumerate(rows.select_columns([column])):
        if number % _REPORT_EVERY == 0:
            report(f"reading {key}", number, len(rows))
        text = row[column]
        if not isinstance(text, str):
            raise ConfigError(
                f"`data.text_column` must hold text, but row {number:,} of {key} holds {type(text).__name__} in "
                f"its column {column}. Set data.text_column."
            )
        yield text


def require_column(key: str, rows: Dataset, column: str) -> None:
    """Check that there is a column of that name.

    Raises:
        ConfigError: if there is none.
    """
    if column not in rows.column_names:
        raise ConfigError(
            f"`data.text_column` must be a column of {key}, but got data.text_column={column}, and it "
            f"has {', '.join(rows.column_names)}. Set data.text_column."
        )


def paragraphs(text: str) -> Iterator[list[str]]:
    """Yield the sentences of each paragraph of running text; lines that do not end like prose are left out."""
    for line in text.splitlines():
        paragraph = line.strip()
        if ends_like_prose(paragraph):
            yield split_sentences(paragraph)
