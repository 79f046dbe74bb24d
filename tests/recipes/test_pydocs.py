"""Python's own documentation as text: the same in every process, and read without importing anything."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from pretraining_cases import pydocs

from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.pretraining import pydocs as module
from autolrs_recipes.data.pretraining.pydocs_cleaning import sentences_of

# The splitter, and codecs that source files name.
_NEEDED = ("sentencex", "encodings")
_PROGRAM = "from test_pydocs import read_all; print(*read_all())"


def read_all() -> tuple[str, int, set[str]]:
    """Read a fifth of the real library: a hash of all sentences, their number, and what this imported."""
    data = pydocs(Path("unused"))
    assert data.problems() == []
    data._files = data._files[::5] + [path for path in data._files if path.name == "topics.py"]
    before = set(sys.modules)
    digest, count = hashlib.sha256(), 0
    for document in data.documents(quiet):
        digest.update(repr(document).encode())
        count += len(document)
    imported = {name for name in set(sys.modules) - before if name.split(".")[0] not in _NEEDED}
    return digest.hexdigest(), count, imported


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A small standard library, so that tests do not read the large one again and again."""
    root = tmp_path_factory.mktemp("lib")
    (root / "pydoc_data").mkdir()
    text = "Some text on {0}. It tells us what {0} is good for. There is one more sentence here."
    topics = {f"topic{i}": text.format(f"topic {chr(97 + i)}") for i in range(12)}
    (root / "pydoc_data" / "topics.py").write_text(f"topics = {topics!r}\n")
    for i in range(12):
        source = f'"""Module number {i} of this library. It does very little work."""\nraise SystemError("imported")\n'
        (root / f"mod{i}.py").write_text(source)
    (root / "test").mkdir()
    (root / "test" / "test_mod.py").write_text('"""This is a test and must not be read."""')
    (root / "broken.py").write_text("this is {{ not }} Python")
    return root


@pytest.fixture
def small_library(library, monkeypatch) -> Path:
    monkeypatch.setattr(module, "_library", lambda: library)
    return library


def test_the_real_library_is_the_same_in_every_process_and_nothing_is_imported():
    elsewhere = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parent)},
    ).stdout
    digest, count, imported = read_all()
    assert elsewhere.split()[:2] == [digest, str(count)]
    assert count > 4_000
    assert not imported
    assert elsewhere.split()[2] == "set()"


def test_topics_and_modules_are_documents(small_library, tmp_path):
    data = pydocs(tmp_path, vocab_size=200)
    docs = [doc for doc in data.documents(quiet) if doc]
    assert len(docs) == 24
    assert "Some text on topic c." in str(docs)
    assert ["Module number 3 of this library.", "It does very little work."] in docs
    assert "must not be read" not in str(docs)
    assert data.problems() == []
    assert "24 documents" in data.describe()
    version = ".".join(map(str, sys.version_info[:3]))
    assert version in data.describe()


def test_what_was_prepared_is_found_again_and_follows_the_sources(small_library, tmp_path, monkeypatch):
    first = pydocs(tmp_path, vocab_size=200)
    first.prepare(quiet)
    with monkeypatch.context() as patch:
        patch.setattr(module.PyDocs, "documents", None)
        assert pydocs(tmp_path, vocab_size=200).fingerprint() == first.fingerprint()
    added = small_library / "zz_more.py"
    added.write_text('"""There is more to read about this. It is quite another thing."""')
    try:
        assert pydocs(tmp_path, vocab_size=200).fingerprint() != first.fingerprint()
    finally:
        added.unlink()


def test_a_python_without_its_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_library", lambda: tmp_path)
    [problem] = pydocs(tmp_path).problems()
    assert "data=text_files" in problem


class TestCleaning:
    def test_code_markup_and_tables_go(self):
        text = """
        Return the *first* item of the ``list``::

            >>> first([1, 2])
            1
            and this is printed, too.

        See :class:`~collections.deque` for a faster type, and :func:`the docs <here>`.

        Arguments
        ---------
        x -- a        y = f(x) + {1: 2}.

        * The first point goes on over a
          line break, as one sentence.
        * The second point stands for itself.
        """
        assert sentences_of(text) == [
            "Return the first item of the list:",
            "See collections.deque for a faster type, and the docs.",
            "The first point goes on over a line break, as one sentence.",
            "The second point stands for itself.",
        ]

    def test_a_line_break_within_parentheses(self):
        assert sentences_of("Takes a pair (name,\nvalue) that is stored in the model.") == [
            "Takes a pair (name, value) that is stored in the model."
        ]

    @pytest.mark.parametrize("text", ["", "x", "a.b(c) -> d [e]", "Introduction", "= = = . = ="])
    def test_what_is_no_sentence(self, text):
        assert sentences_of(text) == []
