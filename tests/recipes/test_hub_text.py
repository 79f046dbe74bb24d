"""Text of the hub by name and column: which rows become documents, and what is refused."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from pretraining_cases import documents, hub_text, text_files, write_documents
from refusals import error_of_data
from stored_cases import hub_cache  # noqa: F401

from autolrs_recipes.data.cache import quiet

pytestmark = pytest.mark.usefixtures("hub_cache")
DOCUMENTS = documents(60)
PROSE = [[f"{sentence.capitalize()}." for sentence in document] for document in DOCUMENTS]


def write_rows(root: Path, column: str = "text", **splits: list[Any]) -> Path:
    """A folder of parquet files, as a repository of the hub has them."""
    root.mkdir()
    for split, rows in splits.items():
        Dataset.from_dict({"id": list(range(len(rows))), column: rows}).to_parquet(
            str(root / f"{split}-00000-of-00001.parquet")
        )
    return root


def test_rows_are_documents(tmp_path: Path) -> None:
    root = write_rows(tmp_path / "hub", train=[" ".join(document) for document in PROSE])
    data = hub_text(tmp_path / "cache", root)
    assert data.problems() == []
    assert list(data.documents(quiet)) == PROSE
    data.prepare(quiet)
    # The very documents that text files with the same sentences give.
    files = text_files(tmp_path / "2", write_documents(tmp_path / "text", PROSE))
    files.prepare(quiet)
    assert data.fingerprint() == files.fingerprint()


def test_rows_are_paragraphs_of_running_text(tmp_path: Path) -> None:
    paragraphs = [text for document in PROSE for text in (" = Heading = ", "", " ".join(document))]
    root = write_rows(tmp_path / "hub", train=paragraphs)
    data = hub_text(tmp_path / "cache", root, rows="paragraphs")
    found = list(data.documents(quiet))
    assert list(chain.from_iterable(found)) == list(chain.from_iterable(PROSE))
    assert min(map(len, found[:-1])) >= 10


def test_a_split_that_decides_targets(tmp_path: Path) -> None:
    rows = [" ".join(document) for document in PROSE]
    root = write_rows(tmp_path / "hub", train=rows[:50], validation=rows[50:])
    data = hub_text(tmp_path / "cache", root, validation_split="validation")
    assert list(data.validation()) == PROSE[50:]
    data.prepare(quiet)
    assert "60 documents" in data.describe()


def test_moved_data_are_not_prepared_again(tmp_path: Path) -> None:
    root = write_rows(tmp_path / "hub", train=[" ".join(document) for document in PROSE])
    hub_text(tmp_path / "cache", root).prepare(quiet)
    root.rename(tmp_path / "elsewhere")
    told: list[str] = []
    moved = hub_text(tmp_path / "cache", tmp_path / "elsewhere")
    moved.prepare(lambda what, done, total: told.append(what))
    assert told == ["loading data.name"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text_column": "content"}, "got data.text_column=content, and it has id, text"),
        ({"text_column": "id"}, "row 0 of data.name holds int"),
        ({"train_split": "all"}, "`data.train_split` must be a split"),
        ({"validation_split": "dev"}, "got data.validation_split=dev, and it has train"),
        ({"validation_split": "train"}, "must differ"),
    ],
)
def test_other_columns_and_splits(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    root = write_rows(tmp_path / "hub", train=[" ".join(document) for document in PROSE])
    assert words in error_of_data(hub_text(tmp_path / "cache", root, **changes))


def test_rows_that_are_single_sentences(tmp_path: Path) -> None:
    root = write_rows(tmp_path / "hub", train=[document[0] for document in PROSE])
    assert "data.rows=paragraphs" in error_of_data(hub_text(tmp_path / "cache", root))


def test_text_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.txt").write_text("One. Two.\n")
    assert "must be data in parquet files" in error_of_data(hub_text(tmp_path / "cache", tmp_path / "hub"))


def test_a_name_must_be_given(tmp_path: Path) -> None:
    assert "`data.name` must name the data" in error_of_data(hub_text(tmp_path, None))
