"""Parallel text and data sets of the hub: what is prepared from them, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from refusals import told
from translation_cases import parallel_text

from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.translation.bpe import train_tokenizer
from autolrs_recipes.data.translation.pairs import END_ID
from autolrs_recipes.data.translation.parallel_text import ParallelText
from autolrs_recipes.data.translation.phrases.make import make_phrases
from autolrs_recipes.data.translation.wmt14 import WMT14

PAIRS = list(make_phrases(400, 3, quiet).items())
FOUR = ("source", "target", "validation_source", "validation_target")


def write(folder: Path, name: str, pairs: list[tuple[str, str]]) -> tuple[str, str]:
    folder.mkdir(exist_ok=True)
    paths = folder / f"{name}.en", folder / f"{name}.de"
    for side, path in enumerate(paths):
        path.write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    return str(paths[0]), str(paths[1])


@pytest.fixture
def text(tmp_path: Path) -> Callable[..., ParallelText]:
    def make(train=PAIRS[:300], validation=PAIRS[300:350], test=None, **changes: Any) -> ParallelText:
        files = [
            *write(tmp_path / "text", "train", train),
            *write(tmp_path / "text", "validation", validation),
        ]
        named = dict(zip(FOUR, files, strict=True))
        if test is not None:
            named["test_source"], named["test_target"] = write(tmp_path / "text", "test", test)
        return parallel_text(tmp_path / "cache", **{**named, "max_length": 100, **changes})

    return make


def decoded(data, which) -> list[tuple[str, str]]:
    tokenizer, table = data.prepared.tokenizer(), data.prepared.pairs(which)
    return [
        (tokenizer.decode(table.source[i].tolist()), tokenizer.decode(table.target[i].tolist()))
        for i in range(len(table))
    ]


class TestParallelText:
    def test_slices_hold_the_files_pairs(self, text):
        data = text(test=PAIRS[350:360])
        assert data.problems() == []
        train, choose, target = (decoded(data, which) for which in ("train", "choose", "target"))
        assert data.prepared.sizes == {"train": 270, "choose": 30, "target": 50}
        assert sorted(train + choose) == sorted(PAIRS[:300])
        assert not set(train) & set(choose)
        assert target == PAIRS[300:350]
        assert data.prepared.test_sentences() == PAIRS[350:360]
        assert "270 pairs" in data.describe()
        assert "left out" not in data.describe()

    def test_bleu_is_computed_on_the_validation_files_unless_there_are_others(self, text):
        assert text().prepared.test_sentences() == PAIRS[300:350]

    def test_every_sentence_ends_and_the_vocabulary_is_as_wanted(self, text):
        data = text()
        table = data.prepared.pairs("train")
        assert all(table.source[i][-1] == table.target[i][-1] == END_ID for i in range(len(table)))
        assert data.prepared.facts.vocabulary == 400

    def test_the_split_depends_on_content_alone(self, text):
        first = set(decoded(text(), "choose"))
        assert set(decoded(text(train=PAIRS[:300][::-1]), "choose")) == first
        assert set(decoded(text(choose_max_pairs=7), "choose")) < first
        assert len(text(choose_max_pairs=7).prepared.pairs("choose")) == 7

    def test_pairs_with_the_same_source_stay_together(self, text):
        doubled = [(english, f"{german} {i}") for english, german in PAIRS[:100] for i in range(2)]
        data = text(train=doubled)
        sources = [{source for source, _ in decoded(data, which)} for which in ("train", "choose")]
        assert not sources[0] & sources[1]

    def test_held_out_pairs_are_not_trained_on(self, text):
        data = text(train=PAIRS[:320])
        everything = decoded(data, "train") + decoded(data, "choose")
        assert sorted(everything) == sorted(PAIRS[:300])
        assert "left out of training: 20 that are held out, too" in data.describe()

    def test_empty_lines_are_left_out_and_counted(self, text):
        train = [*PAIRS[:300], ("", ""), ("  ", "\t"), ("Alone.", "")]
        data = text(train=train)
        assert sum(data.prepared.sizes[name] for name in ("train", "choose")) == 300
        assert "3 with an empty side" in data.describe()

    def test_many_one_sided_pairs_are_refused(self, text):
        data = text(train=[*PAIRS[:100], *[(english, "") for english, _ in PAIRS[100:150]]])
        with pytest.raises(ConfigError, match=r"one side of 50 of 150 pairs is empty.*data.source="):
            data.prepare(quiet)

    @pytest.mark.parametrize("slot", ["train", "validation", "test"])
    def test_nothing_left_is_refused(self, text, slot):
        data = text(**{slot: [("", "")] * 3})
        assert data.problems() == []
        with pytest.raises(ConfigError, match=r"Check data.source="):
            data.prepare(quiet)

    def test_long_sentences_are_left_out_of_training_and_cut_in_held_out_slices(self, text):
        long = " ".join(["Berlin"] * 60)
        data = text(
            train=[*PAIRS[:300], (long, "Kurz.")],
            validation=[*PAIRS[300:310], (long, "Kurz."), ("Short.", long)],
        )
        assert sum(data.prepared.sizes[name] for name in ("train", "choose")) == 300
        short = text(train=[*PAIRS[:300], (long, "Kurz.")], validation=[(long, "Kurz.")], max_length=50)
        assert short.prepared.facts.long > 0
        assert "of more than 50 tokens" in short.describe()
        table = short.prepared.pairs("target")
        assert len(table.source[0]) == 50
        assert table.source[0][-1] == END_ID
        assert "1 held-out pairs cut to 50 tokens" in short.describe()
        assert short.prepared.pairs("train").lengths().max() <= 50
        assert short.prepared.test_sentences() == [(long, "Kurz.")]

    def test_a_length_that_no_sentence_has_is_refused(self, text):
        with pytest.raises(ConfigError, match=r"data.max_length=2 tokens, but has none"):
            text(max_length=2).prepare(quiet)

    def test_unusual_text_comes_back_as_it_was(self, text):
        unusual = [
            ("A </s> in <pad> text <unk>.", "Ein </s> im <pad>-Text <unk>."),
            ("Tabs\tand  two   blanks", "日本語 и русский 🙂"),
            ("line\u2028separator\u0085and\x0bmore", "a\u00a0b\u200bc"),
            ("e\u0301 is not \u00e9", "ß ẞ ﬁ"),
        ]
        data = text(train=[*PAIRS[:50], *unusual], validation=unusual[::-1][:2], choose_max_pairs=1)
        everything = decoded(data, "train") + decoded(data, "choose")
        assert set(unusual[:2]) <= set(everything)
        assert decoded(data, "target") == data.prepared.test_sentences() == unusual[::-1][:2]

    def test_prepared_once_and_again_when_text_or_settings_change(self, text):
        def told(data):
            calls = []
            data.prepare(lambda what, done, total: calls.append(what))
            return any("tokens" in what for what in calls)

        assert told(text())
        assert not told(text())
        first = text().prepared.facts.fingerprint
        assert told(text(vocab_size=300))
        assert told(text(train=PAIRS[:299]))
        assert (
            text().prepared.facts.fingerprint == first != text(train=PAIRS[:299]).prepared.facts.fingerprint
        )

    def test_reports_are_few_and_go_up(self, text):
        calls = []
        text().prepare(lambda *what: calls.append(what))
        assert len(calls) < 250
        tokens = [(done, total) for what, done, total in calls if what == "writing tokens"]
        assert tokens == sorted(tokens)
        assert all(done <= total for done, total in tokens)

    def test_a_killed_preparation_starts_clean(self, text, tmp_path):
        data = text()
        program = (
            "import json, os, signal, sys; from autolrs_recipes.data.translation.parallel_text import ParallelText\n"
            "def report(what, done, total):\n"
            "    if what == 'writing tokens': os.kill(os.getpid(), signal.SIGKILL)\n"
            "ParallelText(**json.loads(sys.argv[1])).prepare(report)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, json.dumps(vars(data))], check=False)
        assert done.returncode == -signal.SIGKILL
        assert list((tmp_path / "cache" / "parallel_text").glob("*.part"))
        data.prepare(quiet)
        assert data.prepared.sizes["train"] == 270
        assert not list((tmp_path / "cache" / "parallel_text").glob("*.part"))


class TestBadFiles:
    def test_nothing_given(self, tmp_path):
        problems = parallel_text(tmp_path).problems()
        assert len(problems) == 4
        for key, problem in zip(FOUR, problems, strict=True):
            assert f"`data.{key}` must name a text file with one sentence a line" in problem
        assert "decide targets" in problems[2]

    def test_no_validation_file(self, text):
        (problem,) = text(validation_target=None).problems()
        assert "`data.validation_target`" in problem
        assert "Set data.validation_target" in problem

    def test_half_a_test_set(self, text):
        (problem,) = text(test=PAIRS[:5], test_target=None).problems()
        assert "`data.test_target`" in problem

    def test_missing_empty_and_folder(self, text, tmp_path):
        (tmp_path / "empty").touch()
        problems = text(
            source=str(tmp_path / "none"), target=str(tmp_path), validation_source=str(tmp_path / "empty")
        ).problems()
        assert len(problems) == 3
        assert "does not exist" in problems[0]
        assert "is not one" in problems[1]
        assert "is empty" in problems[2]

    def test_different_line_counts(self, text, tmp_path):
        data = text()
        with Path(data.target).open("a", encoding="utf-8") as file:
            file.write("Noch eine Zeile.")
        (problem,) = data.problems()
        assert "300 lines" in problem
        assert "301" in problem
        assert "data.source" in problem

    def test_the_same_file_twice(self, text):
        data = text()
        (problem,) = parallel_text(
            Path(data.cache_dir),
            source=data.source,
            target=data.target,
            validation_source=data.source,
            validation_target=data.validation_target,
            test_source=None,
        ).problems()[1:]
        assert "must be different files" in problem
        assert "data.validation_source" in problem

    def test_wrong_encoding_names_file_and_line(self, text):
        data = text()
        lines = Path(data.target).read_bytes().splitlines(keepends=True)
        lines[6] = "Größe\n".encode("latin-1")
        Path(data.target).write_bytes(b"".join(lines))
        with pytest.raises(ConfigError, match=r"line 7 of .*train.de is not.*iconv"):
            data.prepare(quiet)

    @pytest.mark.parametrize(
        ("key", "value"),
        [("choose_fraction", 1), ("choose_max_pairs", 0), ("vocab_size", 258), ("max_length", "x")],
    )
    def test_bad_settings_name_their_key(self, text, key, value):
        (problem,) = text(made=told("data", ParallelText), **{key: value})
        assert f"`data.{key}`" in problem


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local copy in `save_to_disk` form."""

    def split(pairs):
        return Dataset.from_dict(
            {"translation": [{"de": german, "en": english} for english, german in pairs]}
        )

    folder = tmp_path_factory.mktemp("wmt")
    splits = {"train": PAIRS[:300], "validation": PAIRS[300:350], "test": PAIRS[350:360]}
    DatasetDict({name: split(pairs) for name, pairs in splits.items()}).save_to_disk(folder)
    return folder


class TestWMT14:
    def make(self, cache: Path, name: Any, **changes: Any) -> WMT14:
        settings: dict[str, Any] = {
            "name": name if name is None else str(name),
            "config": "de-en",
            "source_language": "en",
            "target_language": "de",
            "train_split": "train",
            "validation_split": "validation",
            "test_split": "test",
            "choose_fraction": 0.1,
            "choose_max_pairs": 100,
            "vocab_size": 400,
            "max_length": 100,
            "cache_dir": str(cache),
        }
        return WMT14(**{**settings, **changes})

    def test_a_local_copy(self, copy, tmp_path):
        data = self.make(tmp_path, copy)
        assert data.problems() == []
        data.prepare(quiet)
        assert sorted(decoded(data, "train") + decoded(data, "choose")) == sorted(PAIRS[:300])
        assert decoded(data, "target") == PAIRS[300:350]
        assert data.prepared.test_sentences() == PAIRS[350:360]
        assert str(copy) in data.describe()

    def test_the_same_as_parallel_text(self, copy, text, tmp_path):
        data = self.make(tmp_path / "cache", copy)
        same = text(test=PAIRS[350:360])
        assert data.prepared.facts == same.prepared.facts

    def test_other_direction(self, copy, tmp_path):
        data = self.make(tmp_path, copy, source_language="de", target_language="en", test_split=None)
        assert decoded(data, "target") == [pair[::-1] for pair in PAIRS[300:350]]
        assert data.prepared.test_sentences() == decoded(data, "target")

    def test_no_name(self, tmp_path):
        (problem,) = self.make(tmp_path, None).problems()
        assert "data.name" in problem
        assert "wmt/wmt14" in problem
        assert "GB" in problem

    def test_splits_must_differ(self, copy, tmp_path):
        (problem,) = self.make(tmp_path, copy, validation_split="train").problems()
        assert "`data.validation_split`" in problem

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"target_language": "fr"}, r"`data.target_language` must be one of de, en.*got fr"),
            ({"test_split": "newstest"}, r"split newstest"),
        ],
    )
    def test_what_the_copy_lacks(self, copy, tmp_path, changes, message):
        with pytest.raises(ConfigError, match=message):
            self.make(tmp_path, copy, **changes).prepare(quiet)

    def test_other_columns(self, tmp_path):
        DatasetDict(
            {name: Dataset.from_dict({"text": ["a", name]}) for name in ("train", "validation", "test")}
        ).save_to_disk(tmp_path / "other")
        with pytest.raises(ConfigError, match=r'column "translation".*has text'):
            self.make(tmp_path, tmp_path / "other").prepare(quiet)


def test_the_tokenizer_knows_any_text():
    tokenizer = train_tokenizer(["ab ab ab", "abc"], 300)
    for text in ("", "ab", "never seen 日本 🙂", "a  b", "</s> <pad>"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.get_vocab_size() < 300
