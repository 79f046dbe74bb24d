"""Text to pre-train on: slices, vocabulary, cache, and what is said about text that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pretraining_cases import documents, text_files, wikipedia_books, write_documents
from refusals import error_of_data, told

from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.pretraining import prepare as pretraining_prepare
from autolrs_recipes.data.pretraining import text_files as text_files_module
from autolrs_recipes.data.pretraining.sentence_splitting import cut_documents, split_sentences
from autolrs_recipes.data.pretraining.source import PreparedText
from autolrs_recipes.data.pretraining.text_files import TextFiles
from autolrs_recipes.data.pretraining.wikipedia_books import WikipediaBooks
from autolrs_recipes.data.pretraining.wordpiece import SPECIAL_TOKENS, train_wordpiece

DOCUMENTS = documents(60)


@pytest.fixture
def text(tmp_path) -> str:
    return write_documents(tmp_path / "text.txt", DOCUMENTS)


def decoded(data: PreparedText, which) -> list[list[str]]:
    """The documents of a slice, word pieces joined."""
    table = data.sentences(which)
    return [
        [
            data.tokenizer.decode(table.tokens(row, row + 1).tolist())
            for row in range(table.first_sentences[d], table.first_sentences[d + 1])
        ]
        for d in range(table.num_documents)
    ]


class TestSlices:
    def test_disjoint_complete_and_in_whole_documents(self, tmp_path, text):
        data = text_files(tmp_path, text)
        slices = {which: decoded(data, which) for which in ("train", "choose", "target")}
        assert {which: len(found) for which, found in slices.items()} == {
            "train": 42,
            "choose": 6,
            "target": 12,
        }
        together = [document for found in slices.values() for document in found]
        assert sorted(map(str, together)) == sorted(map(str, DOCUMENTS))

    def test_by_content_not_by_place_so_that_copies_stay_together(self, tmp_path):
        docs = DOCUMENTS + DOCUMENTS[:20] + DOCUMENTS[:20]
        one = text_files(tmp_path, write_documents(tmp_path / "a.txt", docs))
        slices = [{str(d) for d in decoded(one, which)} for which in ("train", "choose", "target")]
        assert sum(map(len, slices)) == len(set.union(*slices)) == 60
        other = text_files(tmp_path, write_documents(tmp_path / "b.txt", docs[::-1]))
        assert {str(d) for d in decoded(other, "target")} == slices[2]

    def test_validation_files_decide_targets_and_are_not_trained_on(self, tmp_path):
        train = write_documents(tmp_path / "train.txt", DOCUMENTS)
        held_out = write_documents(tmp_path / "held_out.txt", [*documents(5, seed=9), DOCUMENTS[3]])
        data = text_files(tmp_path, train, validation_files=[held_out])
        assert decoded(data, "target") == [*documents(5, seed=9), DOCUMENTS[3]]
        trained = decoded(data, "train") + decoded(data, "choose")
        assert DOCUMENTS[3] not in trained
        assert len(trained) == 59
        assert data.fingerprint() != text_files(tmp_path, train).fingerprint()

    def test_anchors_are_the_sentences_that_another_follows(self, tmp_path, text):
        table = text_files(tmp_path, text).sentences("train")
        assert table.num_anchors == table.num_sentences - table.num_documents
        anchors = table.anchors(np.arange(table.num_anchors))
        assert (table.documents(anchors) == table.documents(anchors + 1)).all()

    def test_fingerprint_is_that_of_content_split_and_vocabulary(self, tmp_path, text):
        data = text_files(tmp_path, text)
        copy = write_documents(tmp_path / "copy.txt", DOCUMENTS)
        assert text_files(tmp_path / "elsewhere", copy).fingerprint() == data.fingerprint()
        for changes in ({"vocab_size": 120}, {"target_fraction": 0.3}, {"choose_fraction": 0.2}):
            assert text_files(tmp_path, text, **changes).fingerprint() != data.fingerprint(), changes

    def test_counts_sentences_longer_than_the_model(self, tmp_path, text):
        data = text_files(tmp_path, text)
        lengths = [np.diff(data.sentences(which).first_tokens) for which in ("train", "choose", "target")]
        assert data.longer_than(8) == sum(int((found > 8).sum()) for found in lengths) > 0


class TestVocabulary:
    def test_the_same_in_every_process(self, tmp_path, text):
        program = (
            "import sys; from pathlib import Path; from pretraining_cases import text_files; "
            "data = text_files(Path(sys.argv[2]), sys.argv[1]); print(data.fingerprint())"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", program, text, str(tmp_path / f"cache{threads}")],
                capture_output=True,
                text=True,
                check=True,
                env={"RAYON_NUM_THREADS": threads, "PYTHONPATH": str(Path(__file__).parent)},
            ).stdout
            for threads in ("1", "3")
        }
        assert found == {text_files(tmp_path, text).fingerprint() + "\n"}

    def test_special_tokens_first_and_text_is_never_special(self):
        text = ["the [MASK] is a mask", "a mask is the mask [MASK]"] * 3
        tokenizer = train_wordpiece(lambda: iter(text), 100)
        assert [tokenizer.id_to_token(i) for i in range(5)] == list(SPECIAL_TOKENS)
        assert set(tokenizer.encode("the [MASK]").ids) >= {2, 3, 4}  # for people, [MASK] is the mask
        tokenizer.encode_special_tokens = True
        assert 4 not in tokenizer.encode("the [MASK]").ids

    def test_never_larger_than_asked(self, tmp_path):
        rng = np.random.default_rng(0)
        docs = [[" ".join(chr(int(c)) for c in rng.integers(0x400, 0x4FF, 40))] * 3 for _ in range(40)]
        data = text_files(tmp_path, write_documents(tmp_path / "a.txt", docs), vocab_size=100)
        assert data.tokenizer.get_vocab_size() <= 100

    def test_learns_from_training_documents_only(self, tmp_path):
        secret = [f"{chr(0x3B1 + i)}{chr(0x3B1 + j)}" for i in range(5) for j in range(5)]
        held_out = write_documents(tmp_path / "held_out.txt", [secret, secret[::-1]])
        data = text_files(tmp_path, write_documents(tmp_path / "a.txt", DOCUMENTS), validation_files=held_out)
        assert not any(character in token for token in data.tokenizer.get_vocab() for character in "αβγ")
        assert (data.sentences("target").tokens(0, 1) == 1).all()  # unknown


class TestCache:
    def test_nothing_is_prepared_twice(self, tmp_path, text, monkeypatch):
        first = text_files(tmp_path, text)
        first.prepare(quiet)
        monkeypatch.setattr(pretraining_prepare, "train_wordpiece", None)
        again = text_files(tmp_path, text)
        again.prepare(quiet)
        assert again.fingerprint() == first.fingerprint()

    def test_a_preparation_that_was_killed_starts_clean(self, tmp_path, text, monkeypatch):
        class Killed(BaseException):
            pass

        def dies(*_):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(pretraining_prepare, "_tokenize", dies)
            with pytest.raises(Killed):
                text_files(tmp_path, text).prepare(quiet)
        home = tmp_path / "pretraining"
        assert not [path for path in home.iterdir() if path.is_dir()]
        text_files(tmp_path, text).prepare(quiet)
        [folder] = [path for path in home.iterdir() if path.is_dir()]
        assert {path.name for path in folder.iterdir()} == {
            "choose",
            "ingredients.json",
            "manifest.json",
            "summary.json",
            "target",
            "tokenizer.json",
            "train",
        }

    def test_the_cache_is_found_through_the_environment(self, tmp_path, text, monkeypatch):
        monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(tmp_path / "mine"))
        text_files(tmp_path, text, cache_dir=None).prepare(quiet)
        assert (tmp_path / "mine" / "pretraining").is_dir()

    def test_progress_is_reported(self, tmp_path, text):
        told = []
        text_files(tmp_path, text).prepare(lambda *what: told.append(what))
        assert {"reading text files", "training the vocabulary", "tokenizing sentences"} <= {
            t[0] for t in told
        }
        assert all(done <= total for _, done, total in told if total is not None)


class TestTextFiles:
    def test_plain_text_is_split_into_sentences_and_documents(self, tmp_path):
        prose = (
            "Dr. Smith arrived\nat 3 p.m. in town. He was late!\nWas he? Yes.\n\n\n"
            "See e.g. the second\nparagraph.  It is short.\n\n"
        )
        (tmp_path / "book.txt").write_text(prose * 30)
        data = text_files(tmp_path, str(tmp_path / "book.txt"), format="plain", document_sentences=6)
        docs = list(data.documents(quiet))
        assert docs[0] == [
            "Dr. Smith arrived at 3 p.m. in town.",
            "He was late!",
            "Was he?",
            "Yes.",
            "See e.g. the second paragraph.",
            "It is short.",
        ]
        assert len(docs) == 30

    def test_sentences_and_documents_of_lines(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone  two \r\nthree\r\n\r\n \r\nfour\r\n")
        (tmp_path / "b.txt").write_text("five\n\x07\n\nsix")
        data = text_files(tmp_path, [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
        assert [len(doc) for doc in data.documents(quiet)] == [2, 1, 2, 1]
        text = pretraining_prepare._write_text(tmp_path / "out", data.documents(quiet), (), quiet)
        assert text.path.read_text() == "one two\nthree\nfour\nfive\nsix\n"
        assert text.sizes.tolist() == [2, 1, 1, 1]

    def test_patterns_and_single_names(self, tmp_path):
        for name in ("b", "a", "c"):
            write_documents(tmp_path / f"{name}.txt", documents(10, seed=ord(name)))
        (tmp_path / "sub").mkdir()
        write_documents(tmp_path / "sub" / "d.txt", documents(10, seed=4))
        by_pattern = text_files(tmp_path, str(tmp_path / "*.txt"))
        by_name = text_files(tmp_path, [str(tmp_path / f"{n}.txt") for n in "abc"])
        assert by_pattern.problems() == by_name.problems() == []
        assert by_pattern.fingerprint() == by_name.fingerprint()
        assert len(list(text_files(tmp_path, str(tmp_path / "**" / "*.txt")).documents(quiet))) == 40

    def test_all_problems_at_once(self, tmp_path, text):
        problems = text_files(
            tmp_path,
            [str(tmp_path / "none.txt"), str(tmp_path / "*.md"), str(tmp_path), 7],
            told("data", TextFiles),
            validation_files=str(tmp_path / "gone.txt"),
            format="lines",
            document_sentences=1,
            vocab_size=3,
            tokenizer_sentences=0,
            choose_fraction=0,
            target_fraction=1,
        )
        expected = [
            "`data.files[3]` must be a valid string",
            "`data.format` must be 'sentences' or 'plain', but got data.format='lines'. Set data.format.",
            "`data.document_sentences` must be greater than or equal to 2",
            "data.vocab_size",
            "data.tokenizer_sentences",
            "data.choose_fraction=0",
            "data.target_fraction=1",
            "none.txt does not exist",
            "no file matches data.files=",
            "is not one",
            "data.validation_files",
        ]
        assert len(problems) == len(expected)
        for problem, words in zip(problems, expected, strict=True):
            assert words in problem, problem
            assert "et data." in problem or "quote it: 'data." in problem

    @pytest.mark.parametrize("files", [None, [], ""])
    def test_no_files(self, tmp_path, files):
        assert "data.files=[FILE,...]" in error_of_data(text_files(tmp_path, files))

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "empty.txt").touch()
        assert "is empty" in error_of_data(text_files(tmp_path, str(tmp_path / "empty.txt")))

    def test_the_same_file_twice(self, tmp_path, text):
        again = f"{tmp_path}/../{tmp_path.name}/text.txt"
        assert "must be named once" in error_of_data(text_files(tmp_path, [text, again]))
        assert "must be named once" in error_of_data(text_files(tmp_path, text, validation_files=[again]))

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"fine\nna\xefve\n", "line 2 of"),
            (b"fine\n\nbad \0 byte\n", "line 3 of"),
            (b"fine\n" + b"x " * 2**20 + b"\n", "line 2 of"),
            (b"one\ntwo\nthree\n", "data.format=plain"),
            (b"one\n\ntwo\n\nthree\n\n" * 9, "with two sentences"),
            (b"\n \n\n", "0 documents"),
            (b"a b\nc d\n\ne f\ng h\n\ni j\nk l\n", "of 3 documents with 6 sentences"),
        ],
        ids=["encoding", "nul", "long line", "one document", "single sentences", "blank", "few documents"],
    )
    def test_text_that_cannot_be_used(self, tmp_path, content, words):
        path = tmp_path / "bad.txt"
        path.write_bytes(content)
        problem = error_of_data(text_files(tmp_path, str(path)))
        assert words in problem
        assert not [found for found in (tmp_path / "pretraining").iterdir() if found.is_dir()]

    def test_a_document_without_end_is_not_read_into_memory(self, tmp_path, text, monkeypatch):
        monkeypatch.setattr(text_files_module, "_MAX_BLOCK_LINES", 5)
        assert "A blank line must end each document" in error_of_data(text_files(tmp_path, text))

    def test_too_few_validation_documents(self, tmp_path, text):
        path = tmp_path / "one.txt"
        path.write_text("one\ntwo\n")
        assert "target has 1" in error_of_data(text_files(tmp_path, text, validation_files=str(path)))


class TestWikipediaBooks:
    @pytest.fixture
    def copies(self, tmp_path):
        from datasets import Dataset

        def article(doc: list[str]) -> str:
            body = ". ".join(sentence.capitalize() for sentence in doc) + "."
            return f"{body}\n\nReferences\n\nSee also:\nA list item\n{body}"

        wikipedia = {"title": ["t"] * 30, "text": [article(doc) for doc in DOCUMENTS[:30]]}
        Dataset.from_dict(wikipedia).save_to_disk(str(tmp_path / "wikipedia"))
        lines = [f"{sentence.capitalize()}." for doc in DOCUMENTS[30:] for sentence in doc]
        Dataset.from_dict({"text": lines}).save_to_disk(str(tmp_path / "books"))
        return {"wikipedia": str(tmp_path / "wikipedia"), "books": str(tmp_path / "books")}

    def test_local_copies(self, tmp_path, copies):
        data = wikipedia_books(tmp_path, **copies)
        assert data.problems() == []
        docs = list(data.documents(quiet))
        assert "References" not in str(docs)
        assert "A list item" not in str(docs)
        assert [len(doc) for doc in docs[:30]] == [2 * len(doc) + 1 for doc in DOCUMENTS[:30]]
        assert {len(doc) for doc in docs[30:-1]} == {10}
        assert sum(map(len, docs[30:])) == sum(map(len, DOCUMENTS[30:]))
        assert "30 documents" not in data.describe()
        data.prepare(quiet)
        assert wikipedia_books(tmp_path / "2", **copies).fingerprint() == data.fingerprint()

    def test_without_books(self, tmp_path, copies):
        data = wikipedia_books(tmp_path, **{**copies, "books": "none"})
        assert len(list(data.documents(quiet))) == 30
        assert "no books" in data.describe()

    def test_both_must_be_given(self, tmp_path):
        problems = wikipedia_books(
            tmp_path, told("data", WikipediaBooks), text_column="", document_sentences=0
        )
        assert [p.split("`")[1] for p in problems] == [
            "data.text_column",
            "data.document_sentences",
            "data.wikipedia",
            "data.books",
        ]
        assert "data.books=none" in problems[-1]

    def test_a_wrong_column(self, tmp_path, copies):
        problem = error_of_data(wikipedia_books(tmp_path, **copies, text_column="content"))
        assert "data.text_column=content" in problem
        assert "title, text" in problem

    def test_a_column_of_something_else(self, tmp_path, copies):
        from datasets import Dataset

        Dataset.from_dict({"text": [1, 2]}).save_to_disk(str(tmp_path / "numbers"))
        problem = error_of_data(
            wikipedia_books(tmp_path, **{**copies, "wikipedia": str(tmp_path / "numbers")})
        )
        assert "row 0 of data.wikipedia holds int" in problem


def test_splitting_keeps_abbreviations_together():
    assert split_sentences("It is e.g. 3.5 cm. The end?  Yes") == ["It is e.g. 3.5 cm.", "The end?", "Yes"]


def test_documents_end_with_a_paragraph():
    paragraphs = [["a", "b"], ["c"], ["d", "e", "f"], ["g"]]
    assert list(cut_documents(paragraphs, 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_summary_is_strict_json(tmp_path, text):
    data = text_files(tmp_path, text)
    data.prepare(quiet)
    [path] = tmp_path.glob("pretraining/*/summary.json")
    json.loads(path.read_text(), parse_constant=pytest.fail)
